//! TLS by rustls. Each probe makes a whole handshake, as a new client would: nothing is resumed.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::of_socket;
use crate::probe::{failure::Failure, spec::Tls};

/// What is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// The two ways in which certificates are looked at.
#[derive(Debug)]
pub struct TlsClients {
    /// Or why nothing can be verified.
    verifying: Result<Arc<ClientConfig>, Failure>,
    trusting: Result<Arc<ClientConfig>, Failure>,
}

impl TlsClients {
    /// Trusts the certificates in `ca_file` (PEM), or those of the system.
    pub fn new(ca_file: Option<&Path>) -> Self {
        let provider = Arc::new(crypto::ring::default_provider());
        let verifying = roots(ca_file).and_then(|roots| verifying(&provider, roots));
        if let Err(failure) = &verifying {
            tracing::warn!(%failure, "sites with TLS can't be probed but without `verify`");
        }
        Self {
            verifying,
            trusting: trusting(&provider),
        }
    }

    /// Makes the handshake with what is called `host`, a name or an address with or without port.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        how: &Tls,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let config = if how.verify {
            &self.verifying
        } else {
            &self.trusting
        };
        let config = config.as_ref().map_err(Clone::clone)?;
        let name = ServerName::try_from(without_port(host).to_owned())
            .map_err(|_| Failure::NotSendable)?;
        TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
            .map_err(|error| of_handshake(&error))
    }
}

fn of_handshake(error: &io::Error) -> Failure {
    of_tls(error)
        .or_else(|| of_socket(error))
        .unwrap_or_else(|| Failure::Tls("the connection ended within the handshake".into()))
}

/// What rustls says by an error of the stream; `None`: it is not from there.
pub fn of_tls(error: &io::Error) -> Option<Failure> {
    let cause = error.get_ref()?.downcast_ref::<TlsError>()?;
    Some(Failure::Tls(cause.to_string()))
}

/// `host` without the port of a Host header (RFC 9110 §7.2), and without the brackets of IPv6.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        return match store.is_empty() {
            false => Ok(store),
            true => Err(Failure::Local(
                "the system has no trusted certificates: install ca-certificates, or set \
                 probe.ca_file"
                    .into(),
            )),
        };
    };
    let wrong = |why: String| Failure::Local(format!("probe.ca_file {}: {why}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    match store.is_empty() {
        false => Ok(store),
        true => Err(wrong("no certificate in it".into())),
    }
}

fn verifying(
    provider: &Arc<CryptoProvider>,
    roots: RootCertStore,
) -> Result<Arc<ClientConfig>, Failure> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Local(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(finished(config))
}

fn trusting(provider: &Arc<CryptoProvider>) -> Result<Arc<ClientConfig>, Failure> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Local(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(provider))))
        .with_no_client_auth();
    Ok(finished(config))
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// Takes any certificate, for owners who say `verify = false`; the handshake's signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod unit {
    use super::without_port;

    #[test]
    fn the_port_of_a_host_is_no_part_of_its_name() {
        for (host, name) in [
            ("www.example.com", "www.example.com"),
            ("www.example.com:8443", "www.example.com"),
            ("192.0.2.1:443", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
