//! Stamps against contracts §1, read the slow way.

use lacuna_core::stamp::{Stamp, StampError, split};

/// The form, field by field.
fn plain(value: &str) -> Option<()> {
    let fields: Vec<&str> = value.split(';').collect();
    let [version, producer, epoch, origin, lane, seq] = fields[..] else { return None };
    let of = |text: &str, more: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "._:@-".contains(c) || more.contains(c))
    };
    let lower_hex = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let decimal = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let leading = |text: &str| text.len() > 1 && text.starts_with('0');
    let good = value.len() <= 256
        && version == "1"
        && (1..=128).contains(&producer.len())
        && of(producer, "/")
        && (1..=16).contains(&epoch.len())
        && lower_hex(epoch)
        && !leading(epoch)
        && origin.len() == 8
        && lower_hex(origin)
        && (lane == "*"
            || (1..=64).contains(&lane.len()) && of(lane, "") && !(decimal(lane) && leading(lane)))
        && decimal(seq)
        && !leading(seq)
        && seq.parse::<u128>().is_ok_and(|seq| seq < 1 << 63);
    good.then_some(())
}

pub(crate) fn stamp(data: &[u8]) {
    let text = std::str::from_utf8(data).ok();
    match Stamp::parse(data) {
        Ok(stamp) => {
            assert_eq!(text.and_then(plain), Some(()), "taken, and not of the form");
            assert_eq!(Some(stamp.to_string().as_str()), text, "another spelling");
            let (prefix, seq) = split(data).expect("a stamp has a prefix and a number");
            assert_eq!((prefix.len(), seq), (data.len() - seq.to_string().len() - 1, stamp.seq));
        }
        Err(error) => {
            assert_eq!(text.and_then(plain), None, "refused, and of the form");
            let version = data.split(|&b| b == b';').next().unwrap_or_default();
            let version = std::str::from_utf8(version).unwrap_or_default();
            let later = data.contains(&b';')
                && version != "1"
                && !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_digit())
                && (version == "0" || !version.starts_with('0'));
            assert_eq!(error == StampError::Unsupported, later, "{error}");
        }
    }
}
