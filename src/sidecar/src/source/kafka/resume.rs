//! Where a tap goes on: what is kept of each partition, and read again at a start.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::describe::TopicId;
use super::lineage::Lineage;
use crate::state::Resumed;

/// A partition as it was kept.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Kept {
    /// The offset that is read next.
    pub(super) next: u64,
    /// Which topic it was that had the name.
    pub(super) id: Option<TopicId>,
    pub(super) lineage: Lineage,
}

/// What a source goes on with.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// By topic and partition.
    pub(super) partitions: HashMap<(String, i32), Kept>,
    /// The next offset in each partition of the ledger's topic.
    pub(super) ledger: HashMap<usize, u64>,
    /// What was there at the first look has been found; what is new has appeared since.
    pub(super) looked: bool,
}

/// The records' names.
pub(super) const LOOKED: &str = "looked";

pub(super) fn partition(topic: &str, partition: i32) -> String {
    format!("log/{partition}/{topic}")
}

pub(super) fn ledger(partition: usize) -> String {
    format!("ledger/{partition}")
}

impl Resume {
    /// Reads what the taps wrote; what is none of theirs is left out.
    pub(super) fn read(records: Option<&Resumed>) -> Self {
        let mut resume = Self::default();
        for (name, value) in records.into_iter().flatten() {
            let mut parts = name.splitn(3, '/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("log"), Some(number), Some(topic)) => {
                    if let (Ok(number), Ok(kept)) = (number.parse(), serde_json::from_slice(value))
                    {
                        resume.partitions.insert((topic.to_owned(), number), kept);
                    }
                }
                (Some("ledger"), Some(number), None) => {
                    if let (Ok(number), Ok(next)) = (number.parse(), serde_json::from_slice(value))
                    {
                        resume.ledger.insert(number, next);
                    }
                }
                (Some(LOOKED), None, None) => resume.looked = true,
                _ => {}
            }
        }
        resume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read() {
        let mut lineage = Lineage::default();
        for (offset, epoch) in [(3, 0), (4, 0)] {
            lineage.record(offset, epoch, false);
        }
        let kept = Kept { next: 5, id: Some((1, -2)), lineage };
        let mut records = Resumed::new();
        records.insert(partition("a/b", 3), serde_json::to_vec(&kept).unwrap());
        records.insert(ledger(2), b"17".to_vec());
        records.insert("log/x/y".to_owned(), b"{}".to_vec());
        assert!(!Resume::read(Some(&records)).looked);
        records.insert(LOOKED.to_owned(), Vec::new());
        let read = Resume::read(Some(&records));
        assert_eq!(read.partitions[&("a/b".to_owned(), 3)], kept);
        assert_eq!((read.partitions.len(), read.ledger[&2], read.looked), (1, 17, true));
        assert!(!Resume::read(None).looked);
    }
}
