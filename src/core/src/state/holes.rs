//! The unseen numbers of a lane.

use alloc::vec::Vec;

use super::Damaged;
use super::bytes::{Put, Take};
use crate::gaps::Gaps;
use crate::hole::{Fact, Hole};
use crate::verdict::{Cause, Reason, Stage, State};

const STATES: [State; 15] = [
    State::Missing,
    State::Lost(Stage::Produce),
    State::Lost(Stage::Store),
    State::Lost(Stage::Consume),
    State::Lost(Stage::Undetermined),
    State::Refused,
    State::ByDesign(Cause::Aborted),
    State::ByDesign(Cause::Compacted),
    State::ByDesign(Cause::Expired),
    State::ByDesign(Cause::Retention),
    State::Unknown(Reason::Joined),
    State::Unknown(Reason::Paused),
    State::Unknown(Reason::Evicted),
    State::Unknown(Reason::Transaction),
    State::LostInLog,
];

fn number(state: State) -> u8 {
    match state {
        State::Missing => 0,
        State::Lost(Stage::Produce) => 1,
        State::Lost(Stage::Store) => 2,
        State::Lost(Stage::Consume) => 3,
        State::Lost(Stage::Undetermined) => 4,
        State::Refused => 5,
        State::ByDesign(Cause::Aborted) => 6,
        State::ByDesign(Cause::Compacted) => 7,
        State::ByDesign(Cause::Expired) => 8,
        State::ByDesign(Cause::Retention) => 9,
        State::Unknown(Reason::Joined) => 10,
        State::Unknown(Reason::Paused) => 11,
        State::Unknown(Reason::Evicted) => 12,
        State::Unknown(Reason::Transaction) => 13,
        State::LostInLog => 14,
    }
}

/// Neighbours that are alike are written as one.
pub(super) fn write(gaps: &Gaps, out: &mut Vec<u8>) {
    let joined = || {
        let mut holes = gaps.iter().peekable();
        core::iter::from_fn(move || {
            let mut hole = holes.next()?;
            while let Some(next) = holes.next_if(|next| next.continues(&hole)) {
                hole.last = next.last;
            }
            Some(hole)
        })
    };
    out.count(joined().count());
    let (mut end, mut opened) = (0, 0);
    for hole in joined() {
        out.number(hole.first - end);
        out.number(hole.last - hole.first);
        out.step(&mut opened, hole.opened);
        out.push(hole.fact.bits());
        out.push(number(hole.state));
        end = hole.last + 1;
    }
}

pub(super) fn read(take: &mut Take<'_>) -> Result<Gaps, Damaged> {
    let mut gaps = Gaps::default();
    let (mut end, mut opened) = (0_u64, 0);
    for _ in 0..take.count()? {
        let first = end.checked_add(take.number()?).ok_or(Damaged::Number)?;
        let last = first.checked_add(take.number()?).ok_or(Damaged::Number)?;
        let opened = take.step(&mut opened)?;
        let fact = Fact::of_bits(take.byte()?);
        let state = STATES.get(usize::from(take.byte()?)).copied().ok_or(Damaged::Number)?;
        gaps.put(Hole { first, last, opened, fact, state });
        end = last.checked_add(1).ok_or(Damaged::Number)?;
    }
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_number() {
        for (index, state) in STATES.into_iter().enumerate() {
            assert_eq!(usize::from(number(state)), index);
        }
    }
}
