//! How Valkey (or Redis) is reached, a single server or a cluster, with TLS or without. Knows the address and the login;
//! nothing of what is said there.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates, Value,
};
use tagway_core::config::{Valkey, ValkeyServer};

/// It is to answer within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// A pause before the next try after a connection was lost; it doubles up to the longest.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A cluster spreads keys over so many slots.
const SLOTS: u16 = 16_384;

/// What is pushed on a connection.
pub(crate) type Pushed = tokio::sync::mpsc::UnboundedSender<PushInfo>;

/// A Valkey to connect to.
#[derive(Clone)]
pub(crate) struct Server {
    /// A server, or nodes of a cluster.
    places: Vec<ConnectionAddr>,
    login: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    /// Of a cluster's nodes the one with this slot is meant: the keys of all gateways on one store are there.
    slot: Option<u16>,
}

impl Server {
    /// The server at this address, spoken to by RESP3, for the gateways on the store with this identity.
    ///
    /// # Errors
    /// The address or a certificate cannot be used.
    pub(crate) fn new(valkey: &Valkey, store: &str) -> RedisResult<Self> {
        let mut login = RedisConnectionInfo::default().set_db(i64::from(valkey.db));
        if let Some(username) = &valkey.username {
            login = login.set_username(username);
        }
        if let Some(password) = &valkey.password {
            login = login.set_password(password.expose());
        }
        let place = |(host, port): &(String, u16)| address(host, *port, valkey.tls);
        let (places, slot) = match &valkey.server {
            ValkeyServer::Url(url) => {
                let info = url.expose().into_connection_info()?;
                login = info.redis_settings().clone();
                (vec![info.addr().clone()], None)
            }
            ValkeyServer::Address(host, port) => (vec![address(host, *port, valkey.tls)], None),
            ValkeyServer::Cluster(nodes) => (nodes.iter().map(place).collect(), Some(slot(store))),
        };
        let login = login.set_protocol(ProtocolVersion::RESP3);
        let server = Self { places, login, certificates: certificates(valkey)?, slot };
        // What is wrong with certificates shows here.
        server.places.iter().try_for_each(|place| server.client(place.clone()).map(drop))?;
        Ok(server)
    }

    fn client(&self, place: ConnectionAddr) -> RedisResult<Client> {
        let info: ConnectionInfo = place.into_connection_info()?.set_redis_settings(self.login.clone());
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// A new connection. What comes unasked goes to `pushed`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn connect(&self, pushed: Option<Pushed>) -> RedisResult<MultiplexedConnection> {
        let Some(slot) = self.slot else { return self.connect_to(self.places[0].clone(), pushed).await };
        let mut last = RedisError::from((ErrorKind::Io, "no node of the cluster is named"));
        for place in &self.places {
            match self.node_of(place, slot).await {
                Ok(node) => return self.connect_to(node, pushed).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(
        &self,
        place: ConnectionAddr,
        pushed: Option<Pushed>,
    ) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        if let Some(pushed) = pushed {
            config = config.set_push_sender(pushed);
        }
        self.client(place)?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The node that has a slot, by what the node at `place` knows.
    async fn node_of(&self, place: &ConnectionAddr, slot: u16) -> RedisResult<ConnectionAddr> {
        let mut connection = self.connect_to(place.clone(), None).await?;
        let Value::Array(ranges) =
            redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await?
        else {
            return Err((ErrorKind::UnexpectedReturnType, "not a list of slots").into());
        };
        let (host, port) = ranges.iter().find_map(|range| master(range, slot)).ok_or_else(|| {
            RedisError::from((ErrorKind::Io, "no node of the cluster has the slot of this store"))
        })?;
        // A node that does not know its own name is the one that was asked.
        let (own, tls) = match place {
            ConnectionAddr::TcpTls { host, .. } => (host.as_str(), true),
            ConnectionAddr::Tcp(host, _) => (host.as_str(), false),
            _ => ("", false),
        };
        Ok(address(host.as_deref().filter(|host| !host.is_empty()).unwrap_or(own), port, tls))
    }
}

fn address(host: &str, port: u16, tls: bool) -> ConnectionAddr {
    let host = host.to_owned();
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Host and port of the master of a range of slots, if it has this one.
fn master(range: &Value, slot: u16) -> Option<(Option<String>, u16)> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(from), Value::Int(to), Value::Array(master), ..] = range.as_slice() else { return None };
    if !(*from..=*to).contains(&i64::from(slot)) {
        return None;
    }
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok(),
        Value::SimpleString(host) => Some(host.clone()),
        _ => None,
    };
    Some((host, u16::try_from(*port).ok()?))
}

/// The slot of keys with this text in braces: CRC-16 of it, as XMODEM has it.
fn slot(text: &str) -> u16 {
    let bit = |sum: u16| if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 };
    let sum = text.bytes().fold(0_u16, |sum, byte| {
        let sum = sum ^ (u16::from(byte) << 8);
        (0..8).fold(sum, |sum, _| bit(sum))
    });
    sum % SLOTS
}

/// The certificates to trust, and to show.
fn certificates(valkey: &Valkey) -> RedisResult<Option<TlsCertificates>> {
    let read = |key: &'static str, path: &String| {
        std::fs::read(path).map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, key, format!("{path}: {error}")))
        })
    };
    if valkey.ca_certs.is_none() && valkey.certificate.is_none() {
        return Ok(None);
    }
    let client_tls = valkey.certificate.as_ref().map(|(certificate, key)| {
        let (client_cert, client_key) = (read("ssl_certfile", certificate)?, read("ssl_keyfile", key)?);
        Ok::<_, RedisError>(ClientTlsConfig { client_cert, client_key })
    });
    Ok(Some(TlsCertificates {
        client_tls: client_tls.transpose()?,
        root_cert: valkey.ca_certs.as_ref().map(|path| read("ssl_ca_certs", path)).transpose()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_a_cluster() {
        // The check value of CRC-16/XMODEM is 0x31C3.
        assert_eq!((slot("123456789"), slot("foo"), slot("")), (0x31C3 % SLOTS, 12_182, 0));
    }
}
