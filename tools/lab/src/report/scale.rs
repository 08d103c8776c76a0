//! Places on an axis. A figure is as wide as the page lets it be: places along its width are per
//! cent, so that text keeps its size on a telephone.

use std::fmt;

/// A place along the width of a figure, per cent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}%", self.0)
    }
}

/// Maps values onto a part of the width.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    from: f64,
    to: f64,
    left: f64,
    right: f64,
}

impl Scale {
    /// `from..to` onto `left..right` per cent. An empty or senseless range becomes one of length 1.
    pub fn new(from: f64, to: f64, left: f64, right: f64) -> Self {
        let from = if from.is_finite() { from } else { 0.0 };
        let to = if to.is_finite() && to > from {
            to
        } else {
            from + 1.0
        };
        Self {
            from,
            to,
            left,
            right,
        }
    }

    /// The place of a value; values outside the range are put at its ends.
    pub fn at(&self, value: f64) -> Percent {
        let part = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        let part = if part.is_nan() { 0.0 } else { part };
        Percent(self.left + part * (self.right - self.left))
    }

    /// The width between two values, at least a hair so that it can be seen.
    pub fn width(&self, from: f64, to: f64) -> Percent {
        Percent((self.at(to).0 - self.at(from).0).max(0.15))
    }

    /// Round values in the range, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        let rough = (self.to - self.from) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step).floor() as i64;
        (first..=last.min(first + 100))
            .map(|n| n as f64 * step)
            .collect()
    }
}

/// A number without a tail of zeros.
pub fn short(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if value.abs() < 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

/// Nanoseconds as a person reads them.
pub fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e7 => format!("{:.2} ms", ns / 1e6),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns if ns < 60e9 => format!("{:.2} s", ns / 1e9),
        ns => format!("{:.0} min {:02.0} s", (ns / 60e9).floor(), ns / 1e9 % 60.0),
    }
}

/// A count with thin gaps between the thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_inside() {
        let scale = Scale::new(10.0, 20.0, 5.0, 95.0);
        assert_eq!(scale.at(15.0).to_string(), "50.000%");
        assert_eq!(scale.at(-1e300).0, 5.0);
        assert_eq!(scale.at(f64::NAN).0, 5.0);
        assert_eq!(scale.at(f64::INFINITY).0, 95.0);
        let empty = Scale::new(3.0, 3.0, 0.0, 100.0);
        assert!(empty.at(3.0).0.is_finite());
        assert!(Scale::new(f64::NAN, 1.0, 0.0, 100.0).at(0.5).0.is_finite());
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(
            Scale::new(0.0, 95.0, 0.0, 100.0).ticks(5),
            [0.0, 20.0, 40.0, 60.0, 80.0]
        );
        assert!(Scale::new(0.0, 1e-9, 0.0, 100.0).ticks(5).len() < 12);
        assert!(Scale::new(0.0, 1e18, 0.0, 100.0).ticks(5).len() < 12);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
        assert_eq!(duration(8_175_834.0), "8.18 ms");
        assert_eq!(duration(46_558_856.0), "46.6 ms");
        assert_eq!(duration(122e9), "2 min 02 s");
        assert_eq!(short(2.0), "2");
    }
}
