//! What was asked and answered, for the status. No names, no clients.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dns64::{Kind, Rcode};
use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a running resolver.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
            /// What upstreams answered, by rcode 0 to 5, and any other.
            pub(crate) upstream_rcodes: [AtomicU64; 7],
        }

        /// The same at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) struct Counts {
            $($(#[$doc])* #[serde(default)] pub(crate) $name: u64,)*
            /// What upstreams answered, by rcode.
            #[serde(default)]
            pub(crate) upstream_rcodes: std::collections::BTreeMap<String, u64>,
        }

        impl Counters {
            pub(crate) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Relaxed),)* upstream_rcodes: self.rcodes() }
            }
        }
    };
}

counters! {
    /// Questions that arrived.
    queries,
    /// Answered as an upstream did.
    real,
    /// Answered with addresses that were made.
    synthesised,
    /// Answered without addresses that are excluded.
    excluded,
    /// Nothing: no prefix stands for the addresses.
    unmapped,
    /// Nothing: no prefix is healthy.
    no_healthy_prefix,
    /// Names of addresses in a prefix.
    ptr,
    /// Names that are special.
    local,
    /// Answered with an error.
    errors,
    /// Refused, or no question.
    refused,
    /// Dropped: the client asks too often.
    rate_limited,
    /// Dropped: too many questions wait for upstreams.
    overloaded,
    /// Answered from the cache alone.
    cache_hits,
    /// Questions to upstreams.
    upstream_queries,
    /// Upstreams that did not answer in time.
    upstream_timeouts,
    /// Answers that did not fit their question: wrong id, port, name or case.
    upstream_spoofed,
    /// Answers that DNSSEC says are wrong.
    bogus,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(crate) fn reply(&self, kind: Kind) {
        count(match kind {
            Kind::Real => &self.real,
            Kind::Synthetic => &self.synthesised,
            Kind::Excluded => &self.excluded,
            Kind::Unmapped => &self.unmapped,
            Kind::NoHealthyPrefix => &self.no_healthy_prefix,
            Kind::Local => &self.local,
            Kind::Ptr => &self.ptr,
            Kind::Error => &self.errors,
            Kind::Refused => &self.refused,
        });
    }

    pub(crate) fn upstream_rcode(&self, rcode: Rcode) {
        count(&self.upstream_rcodes[usize::from(rcode.0).min(6)]);
    }

    fn rcodes(&self) -> std::collections::BTreeMap<String, u64> {
        let name = |code: usize| if code < 6 { Rcode(code as u16).to_string() } else { "other".to_owned() };
        let counts = self.upstream_rcodes.iter().enumerate().map(|(code, counter)| (name(code), counter.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
