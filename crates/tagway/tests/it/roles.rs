//! What each role may do on each endpoint of the management API: `roles/matrix.txt` says it, a call each proves it.
//! The statuses are LiteLLM's, but for three reasons (marked `*` in the matrix): who sees everything may read what is
//! read by POST, and organizations; where tagway answers 404 or 400 for what LiteLLM lets pass; a refusal of what is an
//! admin's matter here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{Gateway, KEY, deployment};

const CALLERS: [&str; 10] =
    ["admin", "viewer", "user", "userview", "tadmin", "member", "oadmin", "nouser", "team", "service"];

fn config() -> String {
    let params = "model: openai/fake, mock_response: hi";
    format!("model_list:\n{}general_settings: {{master_key: {KEY}}}\n", deployment("gpt-4", "one", params))
}

/// A gateway whose store holds one of everything, and the keys of the callers.
struct World {
    gateway: Gateway,
    keys: BTreeMap<String, String>,
}

impl World {
    async fn made() -> Self {
        let gateway = Gateway::start(&config());
        let post = async |path: &str, body: Value| -> Value {
            let response = gateway.post(path, &body).send().await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
            response.json().await.unwrap()
        };
        post("/organization/new", json!({"organization_id": "o1", "organization_alias": "O"})).await;
        post("/team/new", json!({"team_id": "t1", "models": ["gpt-4"], "organization_id": "o1"})).await;
        post("/team/new", json!({"team_id": "t2", "models": ["gpt-4"]})).await;
        let roles = [
            ("admin", "proxy_admin"),
            ("viewer", "proxy_admin_viewer"),
            ("user", "internal_user"),
            ("userview", "internal_user_viewer"),
            ("tadmin", "internal_user"),
            ("member", "internal_user"),
            ("oadmin", "internal_user"),
            ("other", "internal_user"),
        ];
        for (user, role) in roles {
            post("/user/new", json!({"user_id": user, "user_role": role, "auto_create_key": false})).await;
        }
        let members = json!([{"role": "admin", "user_id": "tadmin"}, {"role": "user", "user_id": "member"}]);
        post("/team/member_add", json!({"team_id": "t1", "member": members})).await;
        let admin = json!({"role": "org_admin", "user_id": "oadmin"});
        post("/organization/member_add", json!({"organization_id": "o1", "member": admin})).await;
        let mut keys = BTreeMap::new();
        let mut key = async |name: &str, path: &str, body: Value| {
            let made = post(path, body).await;
            keys.insert(name.to_owned(), made["key"].as_str().unwrap().to_owned());
        };
        for (user, _) in roles {
            key(user, "/key/generate", json!({"user_id": user})).await;
        }
        key("nouser", "/key/generate", json!({})).await;
        key("team", "/key/generate", json!({"team_id": "t1"})).await;
        key("service", "/key/service-account/generate", json!({"team_id": "t1"})).await;
        key("T1KEY", "/key/generate", json!({"team_id": "t1", "user_id": "member"})).await;
        post("/tag/new", json!({"name": "tg"})).await;
        post("/budget/new", json!({"budget_id": "b1"})).await;
        post("/customer/new", json!({"user_id": "c1"})).await;
        let stored = json!({"model_name": "dbm", "litellm_params": {"model": "openai/x"}, "model_info": {"id": "dbid"}});
        post("/model/new", stored).await;
        post("/project/new", json!({"project_id": "p1", "team_id": "t1"})).await;
        Self { gateway, keys }
    }

    /// What a caller gets.
    async fn status(&self, caller: &str, call: &str) -> u16 {
        let (method, rest) = call.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let user = if self.keys.contains_key(caller) { caller } else { "nobody" };
        let fill = |text: &str| {
            // The shortest first: a random key may hold it.
            text.replace("ME", user)
                .replace("OWN", &self.keys[caller])
                .replace("FOREIGN", &self.keys["other"])
                .replace("T1KEY", &self.keys["T1KEY"])
        };
        let method: Method = method.parse().unwrap();
        let url = format!("{}{}", self.gateway.url, fill(path));
        let mut request = self.gateway.client.request(method, url).bearer_auth(&self.keys[caller]);
        if !body.is_empty() {
            request = request.json(&serde_json::from_str::<Value>(&fill(body)).unwrap());
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// The same world as it was made, on a copy of its store.
    fn again(seed: &Path, keys: &BTreeMap<String, String>) -> Self {
        let copy = TempDir::new().unwrap();
        std::fs::write(copy.path().join("config.yaml"), config()).unwrap();
        let data = copy.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for entry in std::fs::read_dir(seed).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
        }
        let gateway = Gateway::start_in(Arc::new(copy.into()), &[], &[]);
        Self { gateway, keys: keys.clone() }
    }
}

#[tokio::test]
async fn every_role_gets_on_every_endpoint_what_the_matrix_says() {
    let seed = TempDir::new().unwrap();
    let made = World::made().await;
    let keys = made.keys.clone();
    made.gateway.signal("TERM");
    let stopped = made.gateway.stopped();
    for entry in std::fs::read_dir(stopped.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            // The journal: all of it has been shipped.
            continue;
        }
        std::fs::copy(entry.path(), seed.path().join(entry.file_name())).unwrap();
    }
    let matrix = include_str!("roles/matrix.txt");
    let mut world = World::again(seed.path(), &keys);
    let mut wrong = Vec::new();
    for line in matrix.lines().filter(|line| !line.starts_with('#') && !line.starts_with("  ")) {
        let (call, statuses) = line.rsplit_once('|').unwrap();
        let call = call.trim();
        let wanted: Vec<u16> =
            statuses.split_whitespace().map(|status| status.trim_end_matches('*').parse().unwrap()).collect();
        assert_eq!(wanted.len(), CALLERS.len(), "{call}");
        let mut got = Vec::new();
        for caller in CALLERS {
            let status = world.status(caller, call).await;
            got.push(status);
            // What was done must not be in the way of the next caller.
            if status < 300 && !call.starts_with("GET") {
                world = World::again(seed.path(), &keys);
            }
        }
        if got != wanted {
            wrong.push(format!("{call}\n    wanted {wanted:?}\n    got    {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of the endpoints differ:\n{}", wrong.len(), wrong.join("\n"));
}
