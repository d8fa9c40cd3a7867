//! One channel's answers: what each confirm says of its number.
//!
//! A message that is returned as unroutable is confirmed as well, and lapin hands the return over
//! with whichever confirm it resolves next, not always with the message's own. So once a channel
//! publishes with `mandatory`, an ack settles its number only when no earlier confirm is left that
//! could still bring that return.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use lacuna_interceptor::{Lane, Outcome, lock};
use lapin::{Confirmation, PublisherConfirm};

use crate::stamper::Inner;
use crate::transaction::Transaction;

/// Confirms that the application dropped before they came and that are heard all the same; of more
/// the oldest are given up.
const DROPPED: usize = 100_000;

/// A number that waits for its answer.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The order of publishing on this channel.
    index: u64,
    lane: Arc<Lane>,
    seq: u64,
    /// The transaction's end says what becomes of it.
    in_transaction: bool,
}

#[derive(Debug)]
pub(crate) struct Confirms {
    stamper: Arc<Inner>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    transaction: Option<Transaction>,
    /// A message was published with `mandatory`.
    mandatory: bool,
    issued: u64,
    /// Confirms that were not looked at yet.
    outstanding: BTreeSet<u64>,
    /// Acknowledged, and a return may still come: with the newest confirm that could bring it.
    provisional: VecDeque<(u64, Arc<Lane>, u64)>,
    dropped: VecDeque<(Ticket, PublisherConfirm)>,
    /// The channel is held no more.
    closed: bool,
}

impl Confirms {
    pub(crate) fn new(stamper: Arc<Inner>) -> Self {
        Self { stamper, state: Mutex::default() }
    }

    pub(crate) fn stamper(&self) -> &Inner {
        &self.stamper
    }

    /// A message is on its way.
    pub(crate) fn issue(&self, lane: Arc<Lane>, seq: u64, mandatory: bool) -> Ticket {
        let mut state = lock(&self.state);
        state.mandatory |= mandatory;
        let index = state.issued;
        state.issued += 1;
        state.outstanding.insert(index);
        let in_transaction = state.transaction.is_some();
        if let Some(transaction) = &mut state.transaction {
            transaction.add(&lane, seq);
        }
        Ticket { index, lane, seq, in_transaction }
    }

    /// A confirm came, and with it perhaps a return.
    pub(crate) fn heard(&self, ticket: &Ticket, answer: &lapin::Result<Confirmation>) {
        let mut state = lock(&self.state);
        self.take(&mut state, ticket, answer);
    }

    /// The application has no use for a confirm that did not come yet.
    pub(crate) fn dropped(&self, ticket: Ticket, confirm: PublisherConfirm) {
        let mut state = lock(&self.state);
        state.dropped.push_back((ticket, confirm));
        if state.dropped.len() > DROPPED
            && let Some((ticket, _)) = state.dropped.pop_front()
        {
            self.give_up(&mut state, &ticket);
        }
    }

    /// No answer will come.
    pub(crate) fn unanswered(&self, ticket: &Ticket) {
        self.give_up(&mut lock(&self.state), ticket);
    }

    /// Looks at the confirms that the application dropped; gives what was returned among them.
    pub(crate) fn hear_dropped(&self) -> Vec<lapin::message::BasicReturnMessage> {
        let mut state = lock(&self.state);
        let mut returned = Vec::new();
        for (ticket, mut confirm) in std::mem::take(&mut state.dropped) {
            match (&mut confirm).now_or_never() {
                Some(answer) => {
                    self.take(&mut state, &ticket, &answer);
                    returned.extend(answer.ok().and_then(Confirmation::take_message));
                }
                None => state.dropped.push_back((ticket, confirm)),
            }
        }
        returned
    }

    /// The channel is transactional from now on.
    pub(crate) fn select_transactions(&self) {
        lock(&self.state).transaction.get_or_insert_with(Transaction::default);
    }

    /// The open transaction ended like this.
    pub(crate) fn end_transaction(&self, outcome: Outcome) {
        if let Some(transaction) = &mut lock(&self.state).transaction {
            transaction.end(outcome);
        }
    }

    /// The channel is held no more.
    pub(crate) fn close(&self, uncommitted: Outcome) {
        self.end_transaction(uncommitted);
        lock(&self.state).closed = true;
    }

    /// Nothing is heard of this channel any more.
    pub(crate) fn is_done(&self) -> bool {
        let state = lock(&self.state);
        state.closed && state.outstanding.is_empty() && state.provisional.is_empty()
    }

    fn take(&self, state: &mut State, ticket: &Ticket, answer: &lapin::Result<Confirmation>) {
        state.outstanding.remove(&ticket.index);
        let (settled, returned) = match answer {
            Ok(Confirmation::Ack(returned)) => (Some(Outcome::Acknowledged), returned.as_ref()),
            Ok(Confirmation::Nack(returned)) => (Some(self.stamper.nacked()), returned.as_ref()),
            Ok(Confirmation::NotRequested) | Err(_) if ticket.in_transaction => (None, None),
            Ok(Confirmation::NotRequested) | Err(_) => (Some(Outcome::Unanswered), None),
        };
        if let Some((lane, seq)) = returned.and_then(|message| self.stamper.returned(message)) {
            lane.settle(seq, Outcome::Refused);
            self.stamper.ring();
        }
        match settled {
            Some(Outcome::Acknowledged) if state.mandatory => {
                let newest = state.issued;
                state.provisional.push_back((newest, Arc::clone(&ticket.lane), ticket.seq));
            }
            Some(outcome) => {
                ticket.lane.settle(ticket.seq, outcome);
                if outcome != Outcome::Acknowledged {
                    self.stamper.ring();
                }
            }
            None => {}
        }
        state.settle_provisional();
    }

    fn give_up(&self, state: &mut State, ticket: &Ticket) {
        state.outstanding.remove(&ticket.index);
        if !ticket.in_transaction {
            ticket.lane.settle(ticket.seq, Outcome::Unanswered);
            self.stamper.ring();
        }
        state.settle_provisional();
    }
}

impl State {
    /// Settles those that no confirm can still show to be returned. The first answer counts, so
    /// one that was returned meanwhile stays refused.
    fn settle_provisional(&mut self) {
        let oldest = self.outstanding.first().copied().unwrap_or(u64::MAX);
        while self.provisional.front().is_some_and(|(newest, _, _)| *newest <= oldest) {
            if let Some((_, lane, seq)) = self.provisional.pop_front() {
                lane.settle(seq, Outcome::Acknowledged);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lacuna_core::ledger::LedgerRecord;
    use lacuna_interceptor::Answers;

    use super::*;
    use crate::options::Options;

    struct Channel {
        confirms: Confirms,
        lane: Arc<Lane>,
    }

    impl Channel {
        fn new() -> Self {
            let inner = Arc::new(Inner::new(Options::default().producer("p").ledger(None)));
            let lane = inner.lane("orders", "eu").unwrap();
            Self { confirms: Confirms::new(inner), lane }
        }

        fn publish(&self, mandatory: bool) -> Ticket {
            let turn = self.lane.turn();
            let seq = turn.seq();
            self.lane.taken(turn);
            self.confirms.issue(Arc::clone(&self.lane), seq, mandatory)
        }

        fn hear(&self, ticket: &Ticket, answer: Confirmation) {
            self.confirms.heard(ticket, &Ok(answer));
        }

        fn record(&self) -> LedgerRecord<'static> {
            let identity = self.confirms.stamper().identity();
            let record = self.lane.record(identity, Answers::All, 0);
            LedgerRecord { producer: "", stream: "", lane: "", ..record }
        }
    }

    #[test]
    fn an_ack_counts_once_no_earlier_confirm_may_bring_the_return() {
        let channel = Channel::new();
        let (first, second, third) =
            (channel.publish(true), channel.publish(true), channel.publish(true));
        channel.hear(&second, Confirmation::Ack(None));
        assert_eq!(channel.record().pending, [(0, 2)]);
        channel.hear(&first, Confirmation::Ack(None));
        assert_eq!(channel.record().pending, [(0, 2)]);
        channel.hear(&third, Confirmation::Ack(None));
        assert_eq!(channel.record().pending, []);
    }

    #[test]
    fn without_mandatory_an_ack_counts_at_once() {
        let channel = Channel::new();
        let (_first, second) = (channel.publish(false), channel.publish(false));
        channel.hear(&second, Confirmation::Ack(None));
        assert_eq!(channel.record().pending, [(0, 0)]);
    }

    #[test]
    fn a_nack_or_no_confirm_leaves_it_open() {
        let channel = Channel::new();
        let tickets = [(); 3].map(|()| channel.publish(false));
        channel.hear(&tickets[0], Confirmation::Nack(None));
        channel.hear(&tickets[1], Confirmation::NotRequested);
        channel.confirms.unanswered(&tickets[2]);
        assert_eq!(channel.record().unanswered, [(0, 2)]);
    }

    #[test]
    fn a_transaction_s_end_says_what_became_of_its_messages() {
        let channel = Channel::new();
        channel.confirms.select_transactions();
        let publish = || {
            let ticket = channel.publish(false);
            channel.hear(&ticket, Confirmation::NotRequested);
        };
        publish();
        assert_eq!(channel.record().pending, [(0, 0)]);
        channel.confirms.end_transaction(Outcome::Acknowledged);
        publish();
        channel.confirms.end_transaction(Outcome::Aborted);
        publish();
        // The connection is lost in the middle.
        channel.confirms.close(Outcome::Aborted);
        let record = channel.record();
        assert_eq!((record.aborted, record.pending), (vec![(1, 2)], vec![]));
    }
}
