//! Names that others chose, where people read them: topics, groups, producers' names, keys of a
//! configuration. What moves a terminal's cursor, hides, or turns the writing's direction is shown as
//! what it is, so that no name can write a line of its own or look like another one.

use std::borrow::Cow;

/// The text, with what is not to be seen as its code: `\u{1b}`.
#[must_use]
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unseen(c) { seen.extend(c.escape_unicode()) } else { seen.push(c) }
    }
    Cow::Owned(seen)
}

/// A line of JSON, in which the same is escaped as JSON does it. Controls are already, in any JSON.
#[must_use]
pub(crate) fn in_json(line: &str) -> Cow<'_, str> {
    if !line.chars().any(is_unseen) {
        return Cow::Borrowed(line);
    }
    let mut seen = String::with_capacity(line.len() + 8);
    for c in line.chars() {
        if is_unseen(c) {
            let mut units = [0; 2];
            seen.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            seen.push(c);
        }
    }
    Cow::Owned(seen)
}

/// Controls, separators of lines, marks of direction, what has no width, and tags: Unicode's Cc, Zl,
/// Zp, and of Cf what changes how other characters look.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_to_be_seen_is_named() {
        for (text, seen) in [
            ("orders.eu", "orders.eu"),
            ("größe 订单 🚚", "größe 订单 🚚"),
            ("a\nb\r\tc", r"a\u{a}b\u{d}\u{9}c"),
            ("\x1b[2J\x1b]0;t\x07", r"\u{1b}[2J\u{1b}]0;t\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
            ("a\u{200b}\u{feff}\u{2028}", r"a\u{200b}\u{feff}\u{2028}"),
        ] {
            assert_eq!(shown(text), seen);
        }
    }
}
