//! Lines of contracts §3: the quick way and the general way read the same, and what is refused is
//! told in one line of plain text.

use lacuna::record::{Feed, Line};
use lacuna_core::{Checker, Settings};

pub(crate) fn observations(data: &[u8]) {
    let mut feed = Feed::new(Checker::new(Settings::default()));
    for text in data.split(|&b| b == b'\n').take(64) {
        let quick = Line::parse(text);
        // Nothing but the quick way minds a tab before the line's end.
        let general = [text, b"\t "].concat();
        let general = Line::parse(&general);
        match (&quick, &general) {
            (Ok(quick), Ok(general)) => {
                assert_eq!(format!("{quick:?}"), format!("{general:?}"));
            }
            (Err(error), Err(_)) => {
                let told = error.to_string();
                assert!(!told.chars().any(char::is_control), "{told:?}");
            }
            _ => panic!("{quick:?}, and the other way {general:?}"),
        }
        if let Ok(line) = quick {
            // Too many partitions is all that it may answer.
            feed.take(&line).ok();
        }
    }
    feed.into_checker().complete();
}
