//! Durations as people write them: `500ms`, `10s`, `5m`, `2h`, `1d`.

use std::fmt;
use std::str::FromStr;

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// It is not one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration: a whole number with ms, s, m, h or d, as in 10s")]
pub struct DurationError(String);

/// Longest first where one is another's tail.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Millis {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UNITS
            .iter()
            .find_map(|(unit, millis)| {
                let number = text.strip_suffix(unit)?;
                // A sign would parse too.
                let digits = number.bytes().all(|b| b.is_ascii_digit());
                let number: u64 = if digits { number.parse().ok()? } else { return None };
                number.checked_mul(*millis).map(Self)
            })
            .ok_or_else(|| DurationError(text.to_owned()))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            UNITS.iter().rev().find(|(_, millis)| self.0 > 0 && self.0.is_multiple_of(*millis));
        match whole {
            Some((unit, millis)) => write!(f, "{}{unit}", self.0 / millis),
            None => f.write_str("0s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_there_and_back() {
        let table = [
            ("0s", 0),
            ("1ms", 1),
            ("1500ms", 1_500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("3d", 259_200_000),
        ];
        for (text, millis) in table {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
            assert_eq!(Millis(millis).to_string(), text);
        }
    }

    #[test]
    fn nothing_else() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1S",
            "1m30s",
            "1w",
            "999999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(text.parse::<Millis>(), Err(DurationError(text.to_owned())), "{text}");
        }
    }
}
