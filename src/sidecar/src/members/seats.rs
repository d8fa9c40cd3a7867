//! Who has which partition, and what that makes of what members tell.
//!
//! Whether a jump between two members' messages is a loss depends on whether anything can have
//! happened in between that nobody told. Nothing can, if the one told all that it was handed until
//! the other one had the partition, and nobody else had it meanwhile. A partition is given away
//! once in each generation of the group. So the next generation after the one's last is the other's,
//! or the same (a static member that came back), or there was one in between in which the group was
//! seen without any member. Else the jump is a pause.
//!
//! Members that compete have no seats: each may be handed any message, one that joins is no break, and
//! what one of them did not tell any other may have been handed.

use std::collections::{HashMap, HashSet};

use lacuna_core::Watch;
use lacuna_core::verdict::Cause;
use lacuna_ring::Reading;
use serde::{Deserialize, Serialize};

use super::kept::Changed;
use super::outside::{Outside, Taken};
use crate::record::{Event, Message, Place};

/// What a partition's members tell, in order.
pub type Told = Vec<(Place<'static>, Vec<Event<'static>>)>;

/// Something that says who has what; told in one order over all rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The member has this partition.
    Assigned {
        /// What it calls it.
        slot: u32,
        /// The stream.
        stream: String,
        /// The partition.
        partition: String,
        /// The group's generation, where the group has given it.
        generation: Option<u64>,
        /// Where it begins, if that is known.
        position: Option<u64>,
        /// It had it before.
        resumed: bool,
    },
    /// It has it no more, and has told all.
    Released {
        /// Which.
        slot: u32,
    },
    /// It is in this generation of the group.
    Generation(u64),
}

/// The partitions of all groups.
#[derive(Debug, Default)]
pub struct Seats {
    pub(super) seats: Vec<(Place<'static>, Seat)>,
    by_place: HashMap<Place<'static>, usize>,
    /// By stream and partition, over all views.
    by_log: HashMap<(String, String), Vec<usize>>,
    pub(super) members: HashMap<u64, Member>,
    pub(super) changed: Changed,
}

#[derive(Debug)]
pub(super) struct Member {
    view: String,
    reading: Reading,
    /// Its numbers' seats.
    pub(super) slots: HashMap<u32, usize>,
}

/// A partition in a group.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Seat {
    pub(super) member: u64,
    /// The last generation in which that member is known to have had it.
    generation: Option<u64>,
    /// When it was, by [`lacuna_ring::order`].
    order: u64,
    released: bool,
    /// All that it was handed was told.
    whole: bool,
    /// The last position that it was handed.
    last: Option<u64>,
}

impl Seats {
    /// A member tells from now on.
    pub fn join(&mut self, member: u64, view: &str, reading: Reading) {
        let (view, slots) = (view.to_owned(), HashMap::new());
        self.members.insert(member, Member { view, reading, slots });
    }

    /// A member has told all that it ever will; `whole`: and that is all that it was handed.
    pub fn leave(&mut self, member: u64, whole: bool, told: &mut Told) {
        if !whole {
            self.fall_behind(member);
            if self.competes(member) {
                // Whatever the others tell, nobody knows what this one was handed.
                self.lost(member, told);
            }
        }
        if let Some(Member { slots, .. }) = self.members.remove(&member) {
            self.changed.gone(member, slots.into_keys());
        }
    }

    /// There is something that a member has not told.
    pub fn fall_behind(&mut self, member: u64) {
        self.held(member).for_each(|(_, seat)| seat.whole = false);
    }

    /// What a member missed to tell is lost; it goes on from here.
    pub fn lost(&mut self, member: u64, told: &mut Told) {
        let watch = self.watch(member);
        for (place, seat) in self.held(member) {
            seat.last = None;
            push(told, place, Event::Watch(watch));
        }
    }

    /// The application goes on elsewhere by itself: what it passes over is no loss.
    pub fn moved(&mut self, member: u64, slot: u32, position: Option<u64>, told: &mut Told) {
        let watch = self.watch(member);
        let Some((place, seat)) = self.seat(member, slot) else { return };
        if seat.member == member {
            seat.last = None;
        }
        push(told, place, Event::Watch(Watch { position, ..watch }));
    }

    /// A member was handed a message.
    pub fn handed(&mut self, member: u64, slot: u32, message: Message<'static>, told: &mut Told) {
        // A slot whose name was told to a reader before this one is told again soon.
        let Some((place, seat)) = self.seat(member, slot) else { return };
        if seat.member == member {
            seat.last = message.position;
        }
        push(told, place, Event::Message(message));
    }

    /// A log ended here when it was asked. A group whose member was handed the last message has
    /// come to that end.
    pub fn ended(
        &mut self,
        log: &(String, String),
        (end, at): (u64, u64),
        outside: &Outside,
        told: &mut Told,
    ) {
        let is_at_end = |last: u64| outside.is_at_end(&log.0, &log.1, last + 1, end);
        for &seat in self.by_log.get(log).into_iter().flatten() {
            let (place, seat) = &self.seats[seat];
            if seat.last.is_some_and(is_at_end) {
                push(told, place, Event::End { position: Some(end), at });
            }
        }
    }

    /// Retention took positions that the group had not committed: if it was not handed them, that
    /// is why.
    pub fn taken(&self, taken: &Taken, told: &mut Told) {
        let &Taken { first, last, at, .. } = taken;
        let place = Place {
            view: taken.group.clone().into(),
            stream: taken.stream.clone().into(),
            partition: taken.partition.clone().into(),
        };
        if self.by_place.contains_key(&place) {
            push(told, &place, Event::Absent { first, last, cause: Cause::Retention, at });
        }
    }

    /// A member says who has what.
    pub fn control(
        &mut self,
        member: u64,
        control: Control,
        order: u64,
        outside: &Outside,
        told: &mut Told,
    ) {
        match control {
            Control::Generation(generation) => {
                for (_, seat) in self.held(member) {
                    (seat.generation, seat.order) = (Some(generation), order);
                }
            }
            Control::Released { slot } => {
                if let Some((_, seat)) = self.seat(member, slot)
                    && seat.member == member
                {
                    (seat.released, seat.order) = (true, order);
                }
            }
            Control::Assigned { slot, stream, partition, generation, position, resumed } => {
                let Some(own) = self.members.get_mut(&member) else { return };
                let place = Place {
                    view: own.view.clone().into(),
                    stream: stream.into(),
                    partition: partition.into(),
                };
                let reading = own.reading;
                let known = self.by_place.get(&place).copied();
                let at = known.unwrap_or(self.seats.len());
                if own.slots.insert(slot, at) != Some(at) {
                    self.changed.slot(member, slot, at);
                }
                let seat = known.map(|known| &self.seats[known].1);
                let competes = reading == Reading::Competing;
                let own = seat.is_some_and(|seat| seat.member == member);
                let goes_on = if competes { seat.is_some() } else { resumed && own };
                let handover = seat.is_some_and(|seat| {
                    let after = |gap| match (seat.generation, generation) {
                        (Some(last), Some(now)) => now.checked_sub(last) == Some(gap),
                        _ => false,
                    };
                    let alone = || outside.was_deserted(&place.view, seat.order, order);
                    seat.whole && !resumed && (after(0) || after(1) || (after(2) && alone()))
                });
                // Only where its first message is at position 0 has the beginning been seen.
                let from_start = seat.is_none() && !resumed && !competes;
                let handover = handover || (competes && !resumed);
                if !goes_on {
                    let watch = Watch { from_start, position, handover, ..watch_of(reading) };
                    push(told, &place, Event::Watch(watch));
                }
                // What it says again tells nothing of how far it was.
                let last = seat.filter(|_| own && resumed).and_then(|seat| seat.last);
                let seat = Seat { member, generation, order, released: false, whole: true, last };
                match known {
                    Some(known) => self.seats[known].1 = seat,
                    None => self.add(place, seat),
                }
            }
        }
    }

    /// A partition that no seat stands for yet.
    pub(super) fn add(&mut self, place: Place<'static>, seat: Seat) {
        let index = self.seats.len();
        let log = (place.stream.to_string(), place.partition.to_string());
        self.by_log.entry(log).or_default().push(index);
        self.by_place.insert(place.clone(), index);
        self.seats.push((place, seat));
    }

    fn seat(&mut self, member: u64, slot: u32) -> Option<(&Place<'static>, &mut Seat)> {
        let seat = *self.members.get(&member)?.slots.get(&slot)?;
        self.seats.get_mut(seat).map(|(place, seat)| (&*place, seat))
    }

    /// The seats that it has; where members compete, all that it has ever had.
    fn held(&mut self, member: u64) -> impl Iterator<Item = (&Place<'static>, &mut Seat)> {
        let shared: HashSet<usize> = match self.members.get(&member) {
            Some(own) if own.reading == Reading::Competing => own.slots.values().copied().collect(),
            _ => HashSet::new(),
        };
        let held = self.seats.iter_mut().map(|(place, seat)| (&*place, seat)).enumerate();
        let own = move |(index, (_, seat)): &(usize, (_, &mut Seat))| {
            shared.contains(index) || (seat.member == member && !seat.released)
        };
        held.filter(own).map(|(_, seat)| seat)
    }

    fn competes(&self, member: u64) -> bool {
        self.members.get(&member).is_some_and(|member| member.reading == Reading::Competing)
    }

    /// How this member's view watches, from here.
    fn watch(&self, member: u64) -> Watch {
        watch_of(self.members.get(&member).map_or(Reading::Ordered, |member| member.reading))
    }
}

fn watch_of(reading: Reading) -> Watch {
    let committed = reading == Reading::Committed;
    Watch { committed, ordered: reading != Reading::Competing, ..Watch::default() }
}

fn push(told: &mut Told, place: &Place<'static>, event: Event<'static>) {
    match told.last_mut() {
        Some((last, events)) if last == place => events.push(event),
        _ => told.push((place.clone(), vec![event])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = 1;
    const TWO: u64 = 2;

    /// Two members of one group, and what is told of them.
    struct Group {
        seats: Seats,
        outside: Outside,
        order: u64,
    }

    impl Group {
        fn new() -> Self {
            let mut seats = Seats::default();
            seats.join(ONE, "billing", Reading::Ordered);
            seats.join(TWO, "billing", Reading::Ordered);
            Self { seats, outside: Outside::default(), order: 0 }
        }

        fn control(&mut self, member: u64, control: Control) -> Vec<String> {
            self.order += 10;
            let mut told = Told::new();
            self.seats.control(member, control, self.order, &self.outside, &mut told);
            lines(told)
        }

        fn given(&mut self, member: u64, generation: impl Into<Option<u64>>) -> Vec<String> {
            self.assigned(member, generation.into(), false)
        }

        fn assigned(&mut self, member: u64, generation: Option<u64>, resumed: bool) -> Vec<String> {
            let (stream, partition) = ("orders".to_owned(), "3".to_owned());
            let (slot, position) = (0, None);
            let assigned =
                Control::Assigned { slot, stream, partition, generation, position, resumed };
            self.control(member, assigned)
        }

        fn leave(&mut self, member: u64, whole: bool) -> Vec<String> {
            let mut told = Told::new();
            self.seats.leave(member, whole, &mut told);
            lines(told)
        }

        fn release(&mut self, member: u64) {
            assert_eq!(self.control(member, Control::Released { slot: 0 }), [""; 0]);
        }

        fn handed(&mut self, member: u64, position: u64) -> Vec<String> {
            let position = Some(position);
            let message = Message { position, at: 0, time: None, stamp: None, redelivered: None };
            let mut told = Told::new();
            self.seats.handed(member, 0, message, &mut told);
            lines(told)
        }

        fn ended(&mut self, end: u64) -> Vec<String> {
            let mut told = Told::new();
            let log = ("orders".to_owned(), "3".to_owned());
            self.seats.ended(&log, (end, 77), &self.outside, &mut told);
            lines(told)
        }
    }

    fn lines(told: Told) -> Vec<String> {
        let line = |event: &Event<'_>| match event {
            Event::Watch(Watch { ordered: false, handover, .. }) => {
                format!("unordered {}", if *handover { "handover" } else { "watch" })
            }
            Event::Watch(Watch { handover: true, .. }) => "handover".to_owned(),
            Event::Watch(Watch { from_start: true, .. }) => "start".to_owned(),
            Event::Watch(_) => "watch".to_owned(),
            Event::Message(message) => format!("message {}", message.position.unwrap_or(0)),
            Event::End { position, at } => format!("end {} {at}", position.unwrap_or(0)),
            other @ (Event::Cut { .. } | Event::Absent { .. }) => format!("{other:?}"),
        };
        for (place, _) in &told {
            assert_eq!(
                (&*place.view, &*place.stream, &*place.partition),
                ("billing", "orders", "3")
            );
        }
        told.iter().flat_map(|(_, events)| events.iter().map(line)).collect()
    }

    #[test]
    fn a_hand_over_is_complete_from_one_generation_to_the_next() {
        for (last, next, watch) in [
            (5, Some(5), "handover"),
            (5, Some(6), "handover"),
            // Somebody else may have had it in generation 6.
            (5, Some(7), "watch"),
            (5, Some(4), "watch"),
            (5, None, "watch"),
        ] {
            let mut group = Group::new();
            assert_eq!(group.given(ONE, last), ["start"]);
            group.release(ONE);
            assert_eq!(group.given(TWO, next), [watch], "{last} to {next:?}");
        }
    }

    #[test]
    fn one_generation_may_have_been_that_of_nobody() {
        for (asked, answered, watch) in
            [(21, 29, "handover"), (15, 25, "watch"), (25, 35, "watch"), (1, 9, "watch")]
        {
            let mut group = Group::new();
            group.given(ONE, 5);
            group.release(ONE);
            group.outside.deserted("billing", asked, answered);
            assert_eq!(group.given(TWO, 7), [watch], "{asked} to {answered}");
        }
    }

    #[test]
    fn who_keeps_a_partition_has_it_in_every_generation() {
        let mut group = Group::new();
        group.given(ONE, 5);
        assert_eq!(group.control(ONE, Control::Generation(6)), [""; 0]);
        // It was killed: nothing was released.
        group.leave(ONE, true);
        assert_eq!(group.given(TWO, 7), ["handover"]);
    }

    #[test]
    fn who_has_not_told_all_hands_nothing_over() {
        let mut group = Group::new();
        group.given(ONE, 5);
        group.leave(ONE, false);
        assert_eq!(group.given(TWO, 6), ["watch"]);
        // What was lost is a pause; what comes after that is told again.
        let mut told = Told::new();
        group.seats.fall_behind(TWO);
        group.seats.lost(TWO, &mut told);
        assert_eq!(lines(told), ["watch"]);
        assert_eq!(group.assigned(TWO, Some(6), true), [""; 0]);
        group.release(TWO);
        assert_eq!(group.given(ONE, 7), [""; 0], "it has left for good");
        group.seats.join(ONE, "billing", Reading::Ordered);
        assert_eq!(group.given(ONE, 7), ["handover"]);
    }

    #[test]
    fn a_late_word_of_a_former_member_is_heard_and_gives_it_nothing() {
        let mut group = Group::new();
        group.given(ONE, 5);
        group.given(TWO, 6);
        assert_eq!(group.handed(ONE, 9), ["message 9"]);
        assert_eq!(group.control(ONE, Control::Generation(6)), [""; 0]);
        group.release(ONE);
        group.release(TWO);
        assert_eq!(group.given(ONE, 7), ["handover"]);
    }

    #[test]
    fn a_group_is_at_the_end_when_it_was_handed_the_last_message() {
        let mut group = Group::new();
        group.given(ONE, 5);
        assert_eq!(group.ended(0), [""; 0]);
        group.handed(ONE, 8);
        assert_eq!(group.ended(10), [""; 0]);
        group.handed(ONE, 9);
        assert_eq!(group.ended(10), ["end 10 77"]);
        // It says again that it has it, to a reader that may not know.
        assert_eq!(group.assigned(ONE, Some(5), true), [""; 0]);
        assert_eq!(group.ended(10), ["end 10 77"]);
        // Behind it a mark of a transaction, which nobody is handed.
        assert_eq!(group.ended(11), [""; 0]);
        group.outside.passed("orders", "3", 9, 11);
        assert_eq!(group.ended(11), ["end 11 77"]);
        assert_eq!(group.ended(12), [""; 0], "nobody has read so far");
        group.outside.passed("orders", "3", 11, 12);
        assert_eq!(group.ended(12), [""; 0], "there is a record that it was not handed");
        group.outside.passed("orders", "3", 10, 12);
        assert_eq!(group.ended(12), ["end 12 77"]);
        group.outside.cut("orders", "3");
        assert_eq!(group.ended(12), [""; 0]);
        // The next one begins somewhere else.
        group.given(TWO, 6);
        assert_eq!(group.ended(10), [""; 0]);
    }
    #[test]
    fn who_competes_joins_without_a_break_and_leaves_one_where_it_has_not_told_all() {
        let mut group = Group::new();
        group.seats.join(ONE, "billing", Reading::Competing);
        group.seats.join(TWO, "billing", Reading::Competing);
        assert_eq!(group.given(ONE, None), ["unordered handover"]);
        assert_eq!(group.given(TWO, None), [""; 0], "the view is watched");
        // Whoever has come last, what each of them was handed is heard, or told to be lost.
        assert_eq!(group.handed(ONE, 9), ["message 9"]);
        let mut told = Told::new();
        group.seats.lost(ONE, &mut told);
        assert_eq!(lines(told), ["unordered watch"]);
        assert_eq!(group.assigned(ONE, None, true), [""; 0]);
        assert_eq!(group.leave(TWO, true), [""; 0]);
        assert_eq!(group.leave(ONE, false), ["unordered watch"]);
    }

    #[test]
    fn a_sidecar_that_comes_later_has_not_heard_what_was_told_before() {
        let mut group = Group::new();
        group.seats.join(ONE, "billing", Reading::Competing);
        assert_eq!(group.assigned(ONE, None, true), ["unordered watch"]);
    }
}
