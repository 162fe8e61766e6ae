//! Requests the gateway makes for itself, apart from calls to models: a client that waits. Knows neither whom it is
//! for nor what is said.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// A client that gives up after `patience`. With TLS it trusts what the system trusts, which takes a moment to read.
pub(crate) fn agent(tls: bool, patience: Duration) -> Agent {
    let mut config = Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
    if tls {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        config = config.tls_config(tls);
    }
    config.build().into()
}
