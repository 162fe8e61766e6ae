//! Ways to a Valkey: TLS with certificates of one's own, and a cluster.

use std::path::Path;
use std::process::{Command, Stdio};

use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::gateway::{Gateway, command};
use crate::limits_shared::{knows, mocks, served_by_two};
use crate::store::key;
use crate::stores::{Home, Store, until};
use crate::valkeys::Valkey;

/// Two gateways that share a limit of five requests a minute let in five.
async fn they_share(home: &Home, config: &str, env: &[(&str, &str)]) {
    let gateways = [(); 2].map(|()| home.gateway_with(config, env));
    for gateway in &gateways {
        gateway.log("limits are shared");
    }
    let key = key(&gateways[0], json!({"rpm_limit": 5, "max_parallel_requests": 2, "max_budget": 1})).await;
    until("it is known", || knows(&gateways[1], &key)).await;
    assert_eq!(served_by_two(&gateways, 20, &key).await, 5);
}

fn openssl(folder: &Path, args: &str) {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(args.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = openssl.status().unwrap_or_else(|error| panic!("this test needs openssl: {error}"));
    assert!(status.success(), "openssl {args}");
}

/// An authority, and a certificate of it for 127.0.0.1.
fn certificates(folder: &Path) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(folder, &format!("req {new} -keyout own.key -out own.csr -subj /CN=127.0.0.1"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let sign = "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
    openssl(folder, &format!("{sign} -out own.pem"));
}

#[tokio::test]
async fn a_valkey_with_tls_is_trusted_by_its_authority_and_trusts_the_gateways_certificate() {
    let folder = tempfile::TempDir::new().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, certificate, key) = (file("ca.pem"), file("own.pem"), file("own.key"));
    let common = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    for auth in ["no", "yes"] {
        let more =
            [&common[..], &["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", auth]].concat();
        let valkey = Valkey::start_with(&more);
        let home = Home::new(Store::Sqlite);
        let url = format!("rediss://127.0.0.1:{}/0", valkey.port);
        if auth == "no" {
            let env = [("REDIS_URL", url.as_str()), ("REDIS_SSL_CA_CERTS", ca.as_str())];
            they_share(&home, &mocks(""), &env).await;
            // Nobody else knows this authority.
            let stranger = home.gateway_with(&mocks(""), &[env[0]]);
            assert!(stranger.log("limits").contains("Valkey cannot be reached"));
        }
        let own = format!(
            "coordination_redis: {{host: 127.0.0.1, port: {}, ssl: true, ssl_ca_certs: {ca}, ssl_certfile: {certificate}, ssl_keyfile: {key}}}",
            valkey.port
        );
        let config = mocks("").replace("general_settings: {", &format!("general_settings: {{{own}, "));
        they_share(&home, &config, &[]).await;
    }
}

#[test]
fn certificates_that_cannot_be_read_end_the_start_with_the_name_of_the_file() {
    let home = Home::new(Store::Sqlite);
    let Home::Folder(folder) = &home else { unreachable!() };
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, mocks("")).unwrap();
    let mut command = command();
    let (name, value) = home.env();
    command.arg("--config").arg(&config).args(["--port", "0"]).env(name, value);
    command.env("REDIS_URL", "rediss://127.0.0.1:1").env("REDIS_SSL_CA_CERTS", "/nowhere/ca.pem");
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("/nowhere/ca.pem"), "{said}");
}

async fn node(valkey: &Valkey) -> MultiplexedConnection {
    redis::Client::open(valkey.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn a_cluster_is_found_by_any_of_its_nodes() {
    let nodes = [(); 3].map(|()| {
        let bus =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        (Valkey::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]), bus)
    });
    for (index, (valkey, _)) in nodes.iter().enumerate() {
        let (from, to) = [(0, 5461), (5462, 10_922), (10_923, 16_383)][index];
        let mut connection = node(valkey).await;
        redis::cmd("CLUSTER")
            .arg("ADDSLOTSRANGE")
            .arg(from)
            .arg(to)
            .exec_async(&mut connection)
            .await
            .unwrap();
        let mut meet = redis::cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(nodes[0].0.port).arg(&nodes[0].1);
        meet.exec_async(&mut connection).await.unwrap();
    }
    for (valkey, _) in &nodes {
        until("the cluster is whole", || async {
            let mut connection = node(valkey).await;
            let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_size:3")
        })
        .await;
    }
    for (valkey, _) in &nodes {
        let home = Home::new(Store::Sqlite);
        // The first of them is nobody's address.
        let named = json!([{"host": "127.0.0.1", "port": 1}, {"host": "127.0.0.1", "port": valkey.port}]);
        they_share(&home, &mocks(""), &[("REDIS_CLUSTER_NODES", named.to_string().as_str())]).await;
    }
}

#[tokio::test]
async fn changes_reach_the_other_gateway_over_a_cluster_of_one() {
    let bus = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let valkey = Valkey::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
    let mut connection = node(&valkey).await;
    redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383).exec_async(&mut connection).await.unwrap();
    until("the cluster is whole", || async {
        let mut connection = node(&valkey).await;
        let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
    let home = Home::new(Store::Sqlite);
    let cache = format!(
        "litellm_settings: {{cache: true, cache_params: {{type: redis, redis_startup_nodes: [{{host: 127.0.0.1, port: {}}}]}}}}\n",
        valkey.port
    );
    let gateways: [Gateway; 2] = [(); 2].map(|()| home.gateway(&mocks(&cache)));
    for gateway in &gateways {
        gateway.log("limits are shared");
    }
    let made = key(&gateways[0], json!({})).await;
    until("it is known", || knows(&gateways[1], &made)).await;
    let blocked = gateways[0].post("/key/block", &json!({"key": made})).send().await.unwrap();
    assert_eq!(blocked.status(), 200);
    until("it is blocked", || async { !knows(&gateways[1], &made).await }).await;
}
