//! A provider as a process: handshake, socket, signals, and an end that Terraform need not wait for.

use std::env;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::service::Routes;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::control::{Control, Shutdown};
use crate::handshake::{self, HandshakeError, Hello};
use crate::log;
use crate::proto::tfplugin5::provider_server::ProviderServer;
use crate::resource::Provider;
use crate::server::Server;
use crate::tls::{self, TlsError};

/// Terraform's Go plugins allow this much; tonic's own limit of 4 MiB is less than a large state.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// What open calls get to end after Shutdown. Terraform kills after 2 s, and says so in the log.
const GRACE: Duration = Duration::from_millis(500);
/// How long a connection may take to prove who it is.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Which provider this is.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// `hetznat`
    pub name: &'static str,
    /// `0.1.0`
    pub version: &'static str,
    /// `registry.terraform.io/hetznat/hetznat`
    pub address: &'static str,
    /// The provider's crate, whose log events are shown: `env!("CARGO_CRATE_NAME")`.
    pub crate_name: &'static str,
}

/// Why the process could not serve.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("cannot listen on {path}: {source}; if the path is too long, set TMPDIR to a shorter one")]
    Listen { path: PathBuf, source: io::Error },
    #[error("cannot make a directory for the plugin's socket in {path}: {source}")]
    SocketDir { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("serving Terraform: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// How the process was called.
enum Call {
    Plugin,
    Debug,
    Version,
    Unknown(String),
}

fn call() -> Call {
    let argument = env::args_os().nth(1).map(|argument| argument.to_string_lossy().into_owned());
    match argument.as_deref() {
        None => Call::Plugin,
        Some("--debug" | "-debug") => Call::Debug,
        Some("--version") => Call::Version,
        Some(other) => Call::Unknown(other.to_owned()),
    }
}

/// The whole of a provider's `main`.
pub fn run<P: Provider>(about: About) -> ExitCode {
    let outcome = match call() {
        Call::Plugin => on_runtime(plugin::<P>(about)),
        Call::Debug => on_runtime(debug_mode::<P>(about)),
        Call::Version => {
            writeln!(io::stdout(), "terraform-provider-{} {}", about.name, about.version).map_err(ServeError::from)
        }
        Call::Unknown(argument) => {
            drop(writeln!(io::stderr(), "error: unknown argument {argument}; known are --debug and --version"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(work: impl Future<Output = Result<(), ServeError>>) -> Result<(), ServeError> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(work);
    // A blocked file operation must not hold the process: Terraform would kill it and warn.
    runtime.shutdown_timeout(GRACE);
    result
}

/// Serves the Terraform that started this process.
async fn plugin<P: Provider>(about: About) -> Result<(), ServeError> {
    let parent = parent_id();
    let Hello { client, socket_dir } = handshake::hello(|name| env::var(name).ok())?;
    log::init(about.name, about.crate_name);
    let identity = client.map(tls::identity).transpose()?;
    let socket = Socket::listen(socket_dir)?;
    let shutdown = Shutdown::new();
    // Ctrl-C reaches the whole process group. Terraform answers it with Stop and Shutdown; dying here would lose state.
    let _interrupts = signal(SignalKind::interrupt())?;
    shutdown.when(terminated()?);
    shutdown.when(orphaned(parent));

    let line = handshake::line(&socket.address(), identity.as_ref().map(|identity| &identity.certificate));
    writeln!(io::stdout(), "{line}")?;
    io::stdout().flush()?;
    match identity {
        Some(identity) => serve::<P, _>(authenticated(socket.listener, identity.config.into()), &shutdown).await,
        None => serve::<P, _>(UnixListenerStream::new(socket.listener), &shutdown).await,
    }
}

/// Serves any number of Terraform runs that name this process in `TF_REATTACH_PROVIDERS`; ends with Ctrl-C.
async fn debug_mode<P: Provider>(about: About) -> Result<(), ServeError> {
    log::init(about.name, about.crate_name);
    let socket = Socket::listen(None)?;
    let shutdown = Shutdown::new();
    let mut interrupts = signal(SignalKind::interrupt())?;
    shutdown.when(async move { _ = interrupts.recv().await });
    shutdown.when(terminated()?);

    let reattach = reattach(about.address, std::process::id(), &socket.address());
    writeln!(
        io::stdout(),
        "Provider started. Set this for Terraform to use it:\n\n\tTF_REATTACH_PROVIDERS='{reattach}'\n"
    )?;
    io::stdout().flush()?;
    serve::<P, _>(UnixListenerStream::new(socket.listener), &shutdown).await
}

fn reattach(address: &str, pid: u32, socket: &str) -> serde_json::Value {
    let endpoint = serde_json::json!({ "Network": "unix", "String": socket });
    let config =
        serde_json::json!({ "Protocol": "grpc", "ProtocolVersion": 5, "Pid": pid, "Test": true, "Addr": endpoint });
    serde_json::json!({ address: config })
}

/// A socket in a directory that only this user may enter, and that goes when this goes.
struct Socket {
    listener: UnixListener,
    directory: TempDir,
}

impl Socket {
    fn listen(parent: Option<PathBuf>) -> Result<Self, ServeError> {
        let parent = parent.unwrap_or_else(env::temp_dir);
        let directory = tempfile::Builder::new()
            .prefix("plugin-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(|source| ServeError::SocketDir { path: parent, source })?;
        let path = Self::path(directory.path());
        let listener = UnixListener::bind(&path).map_err(|source| ServeError::Listen { path, source })?;
        Ok(Self { listener, directory })
    }

    fn path(directory: &Path) -> PathBuf {
        directory.join("socket")
    }

    fn address(&self) -> String {
        Self::path(self.directory.path()).display().to_string()
    }
}

async fn serve<P: Provider, IO>(
    connections: impl Stream<Item = io::Result<IO>>,
    shutdown: &Shutdown,
) -> Result<(), ServeError>
where
    IO: Connected + tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let provider = ProviderServer::new(Server::<P>::new())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let routes = Control::new(shutdown.clone()).add_to(Routes::new(provider));
    let served = tonic::transport::Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, shutdown.requested());
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = served => result?,
        () = overdue => debug!("calls were still open at the end"),
    }
    Ok(())
}

/// The connections whose other end proved to be Terraform.
fn authenticated(
    listener: UnixListener,
    acceptor: TlsAcceptor,
) -> impl Stream<Item = io::Result<TlsStream<UnixStream>>> {
    let (accepted, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
            tokio::spawn(async move {
                match tokio::time::timeout(TLS_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                    Ok(Err(error)) => warn!(%error, "refused a connection"),
                    Err(_) => warn!("refused a connection: it said nothing"),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move { _ = terminate.recv().await })
}

/// Ends when `parent`, who started this process, is gone. Linux could send a signal for that (`PR_SET_PDEATHSIG`), but it does so
/// when the parent's *thread* ends, and Go ends threads at will.
async fn orphaned(parent: u32) {
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_out_of_other_users_reach_and_leaves_nothing() {
        let socket = Socket::listen(None).unwrap();
        let directory = socket.directory.path().to_owned();

        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(socket);
        assert!(!directory.exists());
    }

    #[test]
    fn reattach_has_the_shape_terraform_parses() {
        let json = reattach("registry.terraform.io/hetznat/hetznat", 7, "/tmp/s").to_string();

        insta::assert_snapshot!(json);
    }
}
