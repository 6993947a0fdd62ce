//! Questions that wait for upstreams: so many in all, and so many of one client, that nobody takes the others' places.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::limiter::who;

/// Of everybody.
const MOST: usize = 2_048;
/// Of one client. An upstream is asked up to three times for each, and has 600 sockets.
const MOST_OF_ONE: usize = 150;

/// Who waits.
#[derive(Default)]
pub(super) struct Waiting(RefCell<Counts>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_client: HashMap<u128, usize>,
}

/// A place among those that wait, until it is dropped.
pub(super) struct Place {
    waiting: Rc<Waiting>,
    client: u128,
}

impl Waiting {
    /// `None`: there is none left for this client. This machine's own programs may take them all.
    pub(super) fn place(self: &Rc<Self>, client: IpAddr) -> Option<Place> {
        let most = if client.is_loopback() { MOST } else { MOST_OF_ONE };
        let client = who(client);
        let mut counts = self.0.borrow_mut();
        let own = counts.by_client.get(&client).copied().unwrap_or(0);
        if own >= most || counts.all >= MOST {
            return None;
        }
        counts.all += 1;
        counts.by_client.insert(client, own + 1);
        Some(Place { waiting: Rc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.waiting.0.borrow_mut();
        counts.all -= 1;
        if let Some(own) = counts.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                counts.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_for_everything_leaves_places_to_others() {
        let waiting = Rc::new(Waiting::default());
        let [greedy, other] = ["2001:db8::1", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());

        let places: Vec<Place> = (0..MOST).filter_map(|_| waiting.place(greedy)).collect();

        assert_eq!(places.len(), MOST_OF_ONE);
        assert!(waiting.place(other).is_some());
        drop(places);
        assert!(waiting.place(greedy).is_some());
        assert!(waiting.0.borrow().by_client.is_empty());
    }
}
