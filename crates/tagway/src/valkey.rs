//! How Valkey (or Redis) is reached. Knows the address and the login; nothing of what is said there.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    RedisConnectionInfo, RedisResult,
};
use tagway_core::config::Valkey;

/// It is to answer within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// A pause before the next try after a connection was lost; it doubles up to the longest.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is pushed on a connection.
pub(crate) type Pushed = tokio::sync::mpsc::UnboundedSender<PushInfo>;

/// A Valkey to connect to.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
}

impl Server {
    /// The server at this address, spoken to by RESP3.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) fn new(valkey: &Valkey) -> RedisResult<Self> {
        Ok(Self { client: client(valkey)? })
    }

    /// A new connection. What comes unasked goes to `pushed`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn connect(&self, pushed: Option<Pushed>) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        if let Some(pushed) = pushed {
            config = config.set_push_sender(pushed);
        }
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

fn client(valkey: &Valkey) -> RedisResult<Client> {
    let info = match valkey {
        Valkey::Url(url) => url.expose().into_connection_info()?,
        Valkey::Address { host, port, username, password, tls, db } => {
            let addr = if *tls {
                let host = host.clone();
                ConnectionAddr::TcpTls { host, port: *port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host.clone(), *port)
            };
            let mut login = RedisConnectionInfo::default().set_db(i64::from(*db));
            if let Some(username) = username {
                login = login.set_username(username);
            }
            if let Some(password) = password {
                login = login.set_password(password.expose());
            }
            addr.into_connection_info()?.set_redis_settings(login)
        }
    };
    let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(login))
}
