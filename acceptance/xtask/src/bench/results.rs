//! What the rounds found, and what is said of it: medians, spreads, ratios.

use std::collections::BTreeMap;

use lab::bench::{Case, Contender, Figures, Quantity};

/// Every figure of a run, round by round.
#[derive(Debug, Default)]
pub(super) struct Results(BTreeMap<(Case, Contender, Quantity), Vec<f64>>);

/// What is said of several figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Results {
    pub(super) fn add(&mut self, case: Case, contender: Contender, figures: Figures) {
        for (quantity, figure) in figures {
            self.0.entry((case, contender, quantity)).or_default().push(figure);
        }
    }

    /// Of one quantity, over all rounds.
    pub(super) fn summary(&self, case: Case, contender: Contender, quantity: Quantity) -> Option<Summary> {
        Summary::of(self.rounds(case, contender, quantity))
    }

    /// What was measured in each round.
    pub(super) fn rounds(&self, case: Case, contender: Contender, quantity: Quantity) -> &[f64] {
        self.0.get(&(case, contender, quantity)).map_or(&[], Vec::as_slice)
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
    pub(super) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let summary = |median, least, most| Some(Summary { median, least, most });

        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[3.0]), summary(3.0, 3.0, 3.0));
        assert_eq!(Summary::of(&[9.0, 1.0, 2.0]), summary(2.0, 1.0, 9.0));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 9.0]), summary(3.0, 1.0, 9.0));
    }
}
