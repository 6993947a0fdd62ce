//! How fast it shall be, compared with others in the same run on the same machine.

use lab::bench::{Case, Contender, Direction, Load, Quantity, Train, Way};

use super::results::{Results, Summary};

/// One thing that is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) case: Case,
    pub(super) quantity: Quantity,
    pub(super) measure: Measure,
    pub(super) bound: Bound,
}

/// What of our figure is held against the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// How many times theirs.
    Ratio(Contender),
    /// How much more than theirs.
    More(Contender),
    /// The figure itself.
    Itself,
}

/// Where it has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const FORWARD: Direction = Direction::Forward;
const REVERSE: Direction = Direction::Reverse;

/// All of them, in the order of the tables.
pub(super) fn all() -> Vec<Bar> {
    use Bound::{AtLeast, AtMost};
    use Contender::{Masquerade, Tayga, TaygaMasqueraded, TunnelTayga};
    use Measure::{Itself, More, Ratio};
    let tcp = |way, flows, direction| Case { way, load: Load::Tcp { flows, direction } };
    let plain = |load| Case { way: Way::Plain, load };
    let memory = Case { way: Way::Tunnel, load: Load::Memory };
    let small = plain(Load::Udp { size: 64, train: Train::Cut });
    let bar = |case, quantity, measure, bound| Bar { case, quantity, measure, bound };
    let both = |way, flows, quantity, measure, bound| {
        [FORWARD, REVERSE].map(|direction| bar(tcp(way, flows, direction), quantity, measure, bound))
    };
    [
        &both(Way::Plain, 1, Quantity::Throughput, Ratio(Masquerade), AtLeast(0.9))[..],
        &both(Way::Plain, 4, Quantity::Throughput, Ratio(Masquerade), AtLeast(0.6)),
        &both(Way::Plain, 1, Quantity::Throughput, Ratio(Tayga), AtLeast(10.0)),
        &[bar(small, Quantity::Datagrams, Ratio(Tayga), AtLeast(1.5))],
        &both(Way::Tunnel, 1, Quantity::Throughput, Ratio(TunnelTayga), AtLeast(5.0)),
        &[
            bar(plain(Load::Connections), Quantity::Connections, Ratio(TaygaMasqueraded), AtLeast(1.0)),
            bar(plain(Load::Latency), Quantity::IdleMedian, More(Masquerade), AtMost(100.0)),
        ],
        &both(Way::Tunnel, 1, Quantity::CpuPerGigabyte, Ratio(TunnelTayga), AtMost(0.25)),
        &[bar(memory, Quantity::Resident, Itself, AtMost(96.0))],
    ]
    .concat()
}

impl Bar {
    /// What was measured; `None` if one of the two was not.
    pub(super) fn measured(&self, results: &Results) -> Option<Summary> {
        let ours = match self.case.way {
            Way::Plain => Contender::Ours,
            Way::Tunnel => Contender::TunnelOurs,
        };
        let (case, quantity) = (self.case, self.quantity);
        match self.measure {
            Measure::Ratio(theirs) => results.compared(case, quantity, [ours, theirs], |ours, theirs| ours / theirs),
            Measure::More(theirs) => results.compared(case, quantity, [ours, theirs], |ours, theirs| ours - theirs),
            Measure::Itself => results.summary(case, ours, quantity),
        }
    }
}

impl Bound {
    /// Whether a median is where it has to be.
    pub(super) fn holds(self, median: f64) -> bool {
        match self {
            Self::AtLeast(least) => median >= least,
            Self::AtMost(most) => median <= most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_compares_two_contenders_of_its_case() {
        for Bar { case, measure, .. } in all() {
            if let Measure::Ratio(theirs) | Measure::More(theirs) = measure {
                assert!(case.contenders().contains(&theirs), "{case}, {theirs}");
            }
        }
    }

    #[test]
    fn a_bar_holds_at_its_bound() {
        assert!(Bound::AtLeast(0.9).holds(0.9) && !Bound::AtLeast(0.9).holds(0.89));
        assert!(Bound::AtMost(96.0).holds(96.0) && !Bound::AtMost(96.0).holds(96.1));
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        assert!(all().iter().all(|bar| bar.measured(&Results::default()).is_none()));
    }
}
