//! Samples, and what is said of them.

/// Values of one figure.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The middle one (the mean of the two middle ones of an even number).
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            n if n % 2 == 1 => Some(sorted[middle]),
            _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
        }
    }

    /// The median, and from the least to the greatest.
    pub fn words(&self) -> String {
        let Some(median) = self.median() else {
            return "none".into();
        };
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.0.len() == 1 {
            number(median)
        } else {
            format!("{} ({} to {})", number(median), number(least), number(most))
        }
    }
}

/// Three digits that count.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Samples(vec![]).median(), None);
        assert_eq!(Samples(vec![3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(Samples(vec![4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(Samples(vec![4.0, 1.0, 200.0]).words(), "4.00 (1.00 to 200)");
        assert_eq!(Samples(vec![12.34]).words(), "12.3");
        assert_eq!(Samples(vec![]).words(), "none");
    }
}
