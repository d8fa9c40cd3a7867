use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::asker::Asker;
use super::client::{Client, OpenError, Partition, connect_as, offsets, partitions};
use super::settings::KafkaSettings;
use crate::clock;
use crate::groups::{Finding, GroupRow, Look, PartitionRow, Retention};
use crate::members::{Outside, Taken};

/// Longest wait for the broker's answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What was found, for those who ask.
pub(super) type Board = Arc<Mutex<Vec<GroupRow>>>;

/// Where logs begin and end; a partition that did not answer is missing.
type Bounds<'a> = BTreeMap<Partition<'a>, (u64, u64)>;
/// What a group has committed, where that is known; `None`: nothing.
type Commits = BTreeMap<(Arc<str>, i32), Option<u64>>;

/// Looks at what groups have committed, from time to time. It joins none of them and commits
/// nothing: to the broker it is a client that asks.
pub(super) struct Groups {
    settings: KafkaSettings,
    /// Over a connection of its own: on the tap's a fetch that waits would delay the answers.
    asker: Asker,
    groups: Vec<Group>,
    board: Board,
    outside: Arc<Outside>,
}

struct Group {
    name: String,
    /// One that has the group's name and never subscribes.
    client: Arc<Client>,
    partitions: BTreeMap<(Arc<str>, i32), (Retention, PartitionRow)>,
    at: Option<u64>,
}

impl Groups {
    pub(super) fn connect(
        settings: &KafkaSettings,
        outside: Arc<Outside>,
    ) -> Result<Self, OpenError> {
        let connect_group = |name: &String| {
            let client = connect_as(settings, name)?;
            Ok(Group { name: name.clone(), client, partitions: BTreeMap::new(), at: None })
        };
        let groups = settings.groups.iter().map(connect_group).collect::<Result<_, OpenError>>()?;
        let groups = Self {
            asker: Asker::new(settings)?,
            groups,
            board: Board::default(),
            outside,
            settings: settings.clone(),
        };
        for group in &groups.groups {
            group.show(&groups.board, &groups.settings.name, None);
        }
        Ok(groups)
    }

    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Until nobody is interested any more.
    pub(super) fn run(mut self, interested: &Receiver<()>) {
        loop {
            self.look();
            let asker = self.asker.client();
            let events = self.groups.iter().map(|group| &group.client).chain([&asker]);
            for client in events {
                // Errors of connections; whoever asks over them is told as well.
                while client.poll(Duration::ZERO).is_some() {}
            }
            match interested.recv_timeout(self.settings.group_interval) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        let Self { settings, asker, groups, board, outside } = self;
        let found = partitions(&asker.client(), &settings.topics, TIMEOUT);
        asker.was_answered(found.is_ok());
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let error = error.to_string();
                groups.iter().for_each(|group| group.show(board, &settings.name, Some(&error)));
                return;
            }
        };
        let places: Vec<(Arc<str>, i32)> = found
            .partitions
            .into_iter()
            .flat_map(|(topic, count)| (0..count).map(move |partition| (topic.clone(), partition)))
            .collect();
        let asked: Vec<Partition<'_>> =
            places.iter().map(|(topic, partition)| (&**topic, *partition)).collect();
        // The logs first, the commits after them: what was committed by then has been read.
        let at = clock::now_ms();
        let bounds = bounds(&asker.client(), &asked);
        for ((topic, partition), (_, end)) in bounds.iter().flatten() {
            outside.ended(&settings.stream(topic), &partition.to_string(), *end, at);
        }
        for group in groups {
            let looked = bounds.as_ref().map_err(Clone::clone).and_then(|bounds| {
                group.look(settings, &places, bounds, outside).map_err(|error| error.to_string())
            });
            group.show(board, &settings.name, looked.err().as_deref());
        }
    }
}

impl Group {
    fn look(
        &mut self,
        settings: &KafkaSettings,
        places: &[(Arc<str>, i32)],
        bounds: &Bounds<'_>,
        outside: &Outside,
    ) -> KafkaResult<()> {
        for (place, (_, row)) in &mut self.partitions {
            row.gone = !places.contains(place);
        }
        let at = clock::now_ms();
        if places.is_empty() {
            self.at = Some(at);
            return Ok(());
        }
        let commits = self.commits(places)?;
        let mut looks = looks(bounds, &commits, false, at);
        let suspicious = |(place, look): (&(Arc<str>, i32), &Look)| match self.partitions.get(place)
        {
            Some((retention, _)) => retention.suspects(look),
            None => Retention::default().suspects(look),
        };
        let suspicious = looks.iter().any(suspicious);
        let asked = lacuna_ring::order();
        if self.is_deserted()? {
            outside.deserted(&self.name, asked, lacuna_ring::order());
            if suspicious {
                // What was not committed before nobody was left is not committed afterwards either.
                looks = self::looks(bounds, &self.commits(places)?, true, clock::now_ms());
            }
        }
        for (place, look) in looks {
            let (retention, row) = self.partitions.entry(place.clone()).or_insert_with(|| {
                let row = PartitionRow {
                    stream: settings.stream(&place.0),
                    partition: place.1.to_string(),
                    gone: false,
                    committed: None,
                    log_start: 0,
                    log_end: 0,
                    lost: 0,
                    findings: Vec::new(),
                };
                (Retention::default(), row)
            });
            let before = retention.findings().last().copied();
            let news = retention.take(&look);
            let after = retention.findings().last().copied();
            if let Some(Finding { first, last, .. }) = after.filter(|_| after != before) {
                let group = self.name.clone();
                let (stream, partition) = (row.stream.clone(), row.partition.clone());
                outside.taken(Taken { group, stream, partition, first, last, at: look.at });
            }
            row.committed = look.committed;
            (row.log_start, row.log_end) = (look.start, look.end);
            row.lost = retention.lost();
            row.findings = retention.findings().to_vec();
            if let Some(news) = news {
                tell(&self.name, row, &news);
            }
        }
        self.at = Some(at);
        Ok(())
    }

    fn commits(&self, places: &[(Arc<str>, i32)]) -> KafkaResult<Commits> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, partition) in places {
            list.add_partition(topic, *partition);
        }
        let answer = self.client.committed_offsets(list, TIMEOUT)?;
        let commit = |place: &(Arc<str>, i32)| {
            let found = answer.find_partition(&place.0, place.1)?;
            found.error().ok()?;
            let committed = match found.offset() {
                Offset::Offset(offset) => Some(u64::try_from(offset).ok()?),
                Offset::Invalid => None,
                Offset::Beginning | Offset::End | Offset::Stored | Offset::OffsetTail(_) => {
                    return None;
                }
            };
            Some((place.clone(), committed))
        };
        Ok(places.iter().filter_map(commit).collect())
    }

    /// Whether nobody is a member. A group whose consumers are assigned their partitions by
    /// themselves has no members that anyone could see.
    fn is_deserted(&self) -> KafkaResult<bool> {
        let list = self.client.fetch_group_list(Some(&self.name), TIMEOUT)?;
        Ok(list.groups().iter().any(|group| {
            group.name() == self.name
                && group.state() == "Empty"
                && group.protocol_type() == "consumer"
                && group.members().is_empty()
        }))
    }

    fn show(&self, board: &Board, source: &str, error: Option<&str>) {
        let row = GroupRow {
            group: self.name.clone(),
            source: source.to_owned(),
            at: self.at,
            error: error.map(str::to_owned),
            partitions: self.partitions.values().map(|(_, row)| row.clone()).collect(),
        };
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = board.iter_mut().find(|shown| shown.group == self.name);
        let Some(shown) = shown else { return board.push(row) };
        let news = row.error.is_some() && shown.error.is_none();
        *shown = row;
        if news {
            let error = error.unwrap_or_default();
            tracing::warn!(source, group = self.name, error, "cannot look at the group");
        }
    }
}

fn bounds<'a>(asker: &Client, places: &[Partition<'a>]) -> Result<Bounds<'a>, String> {
    if places.is_empty() {
        // librdkafka refuses to ask for nothing.
        return Ok(Bounds::new());
    }
    let ask = |of| offsets(asker, places, of, TIMEOUT).map_err(|error| error.to_string());
    let (starts, ends) = (ask(Offset::Beginning)?, ask(Offset::End)?);
    let bounds = |place: &Partition<'a>| {
        let start = starts.get(place).copied().flatten()?;
        Some((*place, (start, ends.get(place).copied().flatten()?)))
    };
    Ok(places.iter().filter_map(bounds).collect())
}

fn looks(
    bounds: &Bounds<'_>,
    commits: &Commits,
    deserted: bool,
    at: u64,
) -> BTreeMap<(Arc<str>, i32), Look> {
    let look = |(place, &committed): (&(Arc<str>, i32), &Option<u64>)| {
        let &(start, end) = bounds.get(&(&*place.0, place.1))?;
        Some((place.clone(), Look { start, end, committed, deserted, at }))
    };
    commits.iter().filter_map(look).collect()
}

fn tell(group: &str, row: &PartitionRow, news: &Finding) {
    let PartitionRow { stream, partition, .. } = row;
    let Finding { first, last, .. } = *news;
    if news.lost {
        tracing::error!(
            target: "lacuna::findings",
            group, %stream, %partition, first, last,
            "taken by retention before the group read it"
        );
    } else {
        tracing::warn!(
            target: "lacuna::findings",
            group, %stream, %partition, first, last,
            "taken by retention before the group committed it; whether it was read is not known yet"
        );
    }
}
