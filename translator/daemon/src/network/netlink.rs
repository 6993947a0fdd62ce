//! A connection to the kernel's routing tables, for async code and for destructors.

use std::io;

use rtnetlink::{Error as NetlinkError, Handle};

use crate::error::{Error, Reason};

/// Connects; a task of the current runtime serves the connection until its last handle is gone.
///
/// # Errors
/// [`Error::Netlink`].
pub(super) fn connect() -> Result<Handle, Error> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(no_socket)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Runs netlink requests to their end from a destructor, on a thread and runtime of its own.
pub(super) fn blocking(work: impl AsyncFnOnce(Handle) + Send) {
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection()?;
                tokio::spawn(connection);
                work(handle).await;
                Ok(())
            })
        });
        thread.join()
    });
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("routes or rules may stay behind: {}", Reason(&error)),
        Err(_panic) => tracing::error!("routes or rules may stay behind: the clean-up panicked"),
    }
}

/// Makes an error of ours out of a socket that could not be opened.
pub(super) fn no_socket(source: io::Error) -> Error {
    Error::Netlink { action: "open a netlink socket", reason: Reason(&source).to_string() }
}

/// The kernel's error number, if it was the kernel that refused.
pub(super) fn errno(error: &NetlinkError) -> Option<i32> {
    match error {
        NetlinkError::NetlinkError(message) => Some(-message.raw_code()),
        NetlinkError::UnexpectedMessage(_)
        | NetlinkError::RequestFailed
        | NetlinkError::NamespaceError(_)
        | NetlinkError::InvalidHardwareAddress(_)
        | NetlinkError::InvalidIp(_)
        | NetlinkError::InvalidAddress(..)
        | NetlinkError::InvalidNla(_) => None,
    }
}

/// Makes an error of ours out of a refused request.
pub(super) fn refused(action: &'static str) -> impl FnOnce(NetlinkError) -> Error {
    move |error| match errno(&error) {
        Some(libc::EPERM) => Error::NoCapability,
        Some(code) => {
            let reason = Reason(&io::Error::from_raw_os_error(code)).to_string();
            Error::Netlink { action, reason }
        }
        None => Error::Netlink { action, reason: error.to_string() },
    }
}
