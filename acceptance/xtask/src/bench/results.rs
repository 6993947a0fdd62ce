//! What the rounds found, and what is said of it: medians, spreads, and comparisons round by round.

use std::collections::BTreeMap;

use lab::bench::{Case, Contender, Figures, Quantity};

/// Every figure of a run. A turn that went wrong leaves a hole.
#[derive(Debug, Default)]
pub(super) struct Results(BTreeMap<(Case, Contender, Quantity), BTreeMap<u32, f64>>);

/// What is said of several figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Results {
    pub(super) fn add(&mut self, round: u32, case: Case, contender: Contender, figures: Figures) {
        for (quantity, figure) in figures {
            self.0.entry((case, contender, quantity)).or_default().insert(round, figure);
        }
    }

    /// Of one quantity, over all rounds.
    pub(super) fn summary(&self, case: Case, contender: Contender, quantity: Quantity) -> Option<Summary> {
        Summary::of(self.rounds(case, contender, quantity)?.values().copied().collect())
    }

    /// Of one contender's figure against another's of the same round: whatever else the machine did met both.
    pub(super) fn compared(
        &self,
        case: Case,
        quantity: Quantity,
        [one, other]: [Contender; 2],
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<Summary> {
        let (one, other) = (self.rounds(case, one, quantity)?, self.rounds(case, other, quantity)?);
        let both = one.iter().filter_map(|(round, figure)| Some(compare(*figure, *other.get(round)?)));
        Summary::of(both.collect())
    }

    fn rounds(&self, case: Case, contender: Contender, quantity: Quantity) -> Option<&BTreeMap<u32, f64>> {
        self.0.get(&(case, contender, quantity))
    }

    /// The quantities that were measured of a case, whoever had them.
    pub(super) fn quantities(&self, case: Case) -> Vec<Quantity> {
        let mut quantities: Vec<_> =
            self.0.keys().filter(|(of, ..)| *of == case).map(|(_, _, quantity)| *quantity).collect();
        quantities.sort_unstable();
        quantities.dedup();
        quantities
    }
}

impl Summary {
    /// `None` of nothing.
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(median: f64, least: f64, most: f64) -> Option<Summary> {
        Some(Summary { median, least, most })
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Summary::of(vec![]), None);
        assert_eq!(Summary::of(vec![3.0]), summary(3.0, 3.0, 3.0));
        assert_eq!(Summary::of(vec![9.0, 1.0, 2.0]), summary(2.0, 1.0, 9.0));
        assert_eq!(Summary::of(vec![4.0, 1.0, 2.0, 9.0]), summary(3.0, 1.0, 9.0));
    }

    #[test]
    fn only_figures_of_the_same_round_are_compared() {
        let case = Case::all().next().unwrap();
        let mut results = Results::default();
        for (round, contender, figure) in [
            (1, Contender::Ours, 8.0),
            (1, Contender::Tayga, 1.0),
            (2, Contender::Ours, 1000.0),
            (3, Contender::Ours, 4.0),
            (3, Contender::Tayga, 2.0),
        ] {
            results.add(round, case, contender, vec![(Quantity::Throughput, figure)]);
        }

        let both = [Contender::Ours, Contender::Tayga];
        let ratio = results.compared(case, Quantity::Throughput, both, |ours, theirs| ours / theirs);

        assert_eq!(ratio, summary(5.0, 2.0, 8.0));
    }
}
