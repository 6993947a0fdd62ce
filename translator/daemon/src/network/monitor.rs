//! Tells when links, routes or addresses of this machine changed: rtnetlink multicast.

use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use rtnetlink::{Handle, MulticastGroup};
use tokio::time::{Instant, sleep_until};

use super::netlink;
use crate::error::Error;

/// Changes come in bursts; this long after the first one most are over.
const SETTLE: Duration = Duration::from_millis(5);
/// A router may have a million routes, and some of them always change: looking at them must stay a small part of the work,
/// so after each time there is a pause of so many times as long.
const PAUSE: u32 = 9;

/// Listens for changes.
pub(crate) struct Monitor {
    changes: BoxStream<'static, ()>,
    /// When a change that has come is told.
    due: Option<Instant>,
    /// When the last change was told; who listens looks around then, and listens again.
    told: Option<Instant>,
    /// The next change is not told before.
    not_before: Instant,
    /// The connection ends with its last handle.
    _handle: Handle,
}

impl Monitor {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::Netlink`].
    pub(crate) fn start() -> Result<Self, Error> {
        let groups =
            [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(netlink::no_socket)?;
        tokio::spawn(connection);
        Ok(Self {
            changes: messages.map(drop).boxed(),
            due: None,
            told: None,
            not_before: Instant::now(),
            _handle: handle,
        })
    }

    /// Returns some time after the next change, whatever it was. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if let Some(told) = self.told.take() {
            self.not_before = Instant::now() + told.elapsed() * PAUSE;
        }
        if self.due.is_none() {
            if self.changes.next().await.is_none() {
                // The connection is gone; who looks around by the clock sees changes later.
                std::future::pending::<()>().await;
            }
            self.due = Some(self.not_before.max(Instant::now() + SETTLE));
        }
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        while self.changes.next().now_or_never().flatten().is_some() {}
        self.due = None;
        self.told = Some(Instant::now());
    }
}
