//! The sidecar is killed again and again beside a RabbitMQ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::sidecar::{GRACE_S, Sidecar};
use lacuna_brokers::wait;
use lapin::ExchangeKind;

const KILLS: u64 = 10;

/// Numbers by lane.
type Numbers = BTreeMap<truth::Lane, BTreeSet<u64>>;

/// Two producers under load; now and then nothing is bound for what they publish, and the sidecar,
/// which reads by this tap, is killed. Gives it, running, and what is in the queue and what is not.
fn killed(rabbitmq: &RabbitMq, tap: &str) -> (Sidecar, Numbers, Numbers) {
    let queue = format!("survives-{tap}");
    let (front, back) = (queue.as_str(), format!("{queue}.back"));
    rabbitmq.exchange(front, ExchangeKind::Direct);
    rabbitmq.exchange(&back, ExchangeKind::Direct);
    rabbitmq.chain(front, &back, "k");
    rabbitmq.queue(&queue, &[], &[(&back, "k")]);
    let lines = format!("tap = \"{tap}\"\nbindings = [\"{back}/k\"]");
    let mut sidecar = sidecar::keeping(rabbitmq, &queue, &[(&queue, &lines)]);
    let target = format!("{front}/k");
    let mut producers = ["first", "second"].map(|name| {
        let mut producer = Producer::start(rabbitmq, &sidecar, &queue, name, &target, &[]);
        producer.load();
        producer
    });
    // What a first run had not kept yet is nobody's.
    let kept = |sidecar: &Sidecar| sidecar.metrics_of("lacuna_state_kept_timestamp_seconds");
    let before = kept(&sidecar);
    wait::until("its beginning is kept", || match kept(&sidecar) {
        at if at == before => Err(format!("{at:?}")),
        _ => Ok(()),
    });
    let lose = |producers: &mut [Producer; 2]| {
        rabbitmq.unchain(front, &back, "k");
        let answered = producers[0].count() + 20;
        producers[0].answered(answered);
        rabbitmq.chain(front, &back, "k");
    };
    let throughout = |ms| wait::throughout(Duration::from_millis(ms), || ());
    for kill in 0..KILLS {
        // On its way up, while it reads, and now and then after what was lost was judged.
        throughout(37 * (kill % 13));
        if kill % 5 == 4 {
            throughout(GRACE_S * 1_000 + 1_000);
            lose(&mut producers);
            throughout(GRACE_S * 1_000 + 3_000);
        }
        if kill % 2 == 0 {
            sidecar.kill();
        }
        lose(&mut producers);
        if kill % 2 == 1 {
            sidecar.kill();
        }
        sidecar.start_again();
    }
    sidecar.ready();
    for producer in &mut producers {
        let answered = producer.count() + 500;
        producer.answered(answered);
        producer.stop();
        producer.wait();
    }
    let published = truth::published(&[producers[0].file(), producers[1].file()]);
    producers.into_iter().for_each(Producer::finish);
    let stored = rabbitmq.drain(&queue);
    let bodies = truth::bodies(stored.iter().map(|stored| stored.body.as_str()));
    let (mut there, mut lost) = (Numbers::new(), Numbers::new());
    for (lane, answers) in published {
        assert!(answers.values().all(|answer| answer == "acknowledged"), "{lane:?}");
        let copies = &bodies[&lane];
        assert!(copies.values().all(|copies| *copies == 1), "{lane:?}: something is there twice");
        let all: BTreeSet<u64> = answers.into_keys().collect();
        there.insert(lane.clone(), copies.keys().copied().collect());
        lost.insert(lane.clone(), &all - &there[&lane]);
    }
    let lost_sum: usize = lost.values().map(BTreeSet::len).sum();
    assert!(lost_sum > 100, "too little was lost: {lost_sum}");
    (sidecar, there, lost)
}

fn ranges(numbers: &Numbers) -> BTreeSet<truth::Range> {
    numbers
        .iter()
        .flat_map(|(lane, numbers)| truth::ranges(lane, numbers.iter().copied()))
        .collect()
}

/// The numbers that rows of these states name.
fn named(findings: &BTreeMap<String, BTreeSet<truth::Range>>, state: &str) -> Numbers {
    let mut named = Numbers::new();
    for (lane, first, last) in
        findings.iter().filter(|(name, _)| name.starts_with(state)).flat_map(|(_, rows)| rows)
    {
        named.entry(lane.clone()).or_default().extend(*first..=*last);
    }
    named
}

fn sum(numbers: &Numbers) -> u64 {
    numbers.values().map(|numbers| numbers.len() as u64).sum()
}

#[test]
fn a_stream_is_read_on_and_nothing_is_lost_of_what_was_found() {
    let rabbitmq = RabbitMq::take();
    let (sidecar, there, lost) = killed(&rabbitmq, "stream");
    let found = truth::judged(&sidecar, "log", sum(&there) + sum(&lost));
    assert_eq!((found["seen"], found["lost.store"]), (sum(&there), sum(&lost)), "{found:?}");
    let findings = truth::findings(&sidecar, "log");
    assert_eq!(findings, [("lost.store".to_owned(), ranges(&lost))].into());
    assert_eq!(sidecar.rows("/v1/duplicates", "view=log"), Vec::<serde_json::Value>::new());
    // What was lost before a slow ledger spoke of it has entered another stage first.
    let stored = sidecar.samples_of("lacuna_lost_messages_total", "stage=\"store\"");
    #[expect(clippy::cast_precision_loss, reason = "few are lost")]
    let wanted = sum(&lost) as f64;
    assert_eq!(stored.iter().sum::<f64>(), wanted, "entries into lost, store");
    sidecar.stop(1);
}

/// What its members were handed is told through their rings, and heard by whichever sidecar there is.
#[test]
fn what_members_tell_is_heard_through_kills() {
    let rabbitmq = RabbitMq::take();
    let queue = "told";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let mut sidecar = sidecar::keeping(&rabbitmq, queue, &[(queue, "tap = \"stream\"")]);
    let start = |sidecar: &Sidecar, name: &str, more: &[&str]| {
        Consumer::start(&rabbitmq, sidecar, queue, name, "told/k", more)
    };
    let mut first = start(&sidecar, "first", &[]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "told/k", &[]);
    // What is lost within the view's first grace is unknown.
    wait::throughout(Duration::from_secs(GRACE_S + 1), || ());
    for kill in 0..KILLS {
        shop.send(200);
        wait::throughout(Duration::from_millis(173 * (kill % 7)), || ());
        sidecar.kill();
        sidecar.start_again();
    }
    shop.wait();
    Consumer::all_handed(&mut [&mut first], 200 * KILLS);
    first.finish();
    sidecar.ready();
    // Of what this one is sent it is handed 20, and the sidecar ends with it.
    let mut killed = start(&sidecar, "killed", &["answer=auto", "hold=20"]);
    shop.send(50);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 20);
    rabbitmq.all_are_sent(queue);
    killed.kill();
    sidecar.kill();
    sidecar.start_again();
    sidecar.ready();
    let mut member = start(&sidecar, "member", &[]);
    shop.send(10);
    shop.wait();
    Consumer::all_handed(&mut [&mut member], 10);
    member.finish();
    shop.finish();
    let sent = 200 * KILLS + 60;
    let found = truth::judged(&sidecar, queue, sent);
    assert_eq!((found["seen"], found.get("lost.consume")), (sent - 30, Some(&30)), "{found:?}");
    assert_eq!(found.keys().find(|name| name.starts_with("duplicates")), None, "{found:?}");
    let (first, last) = (200 * KILLS + 20, 200 * KILLS + 49);
    let lost = [("lost.consume".to_owned(), [truth::range("told/k", "shop", first, last)].into())];
    assert_eq!(truth::findings(&sidecar, queue), lost.into());
    sidecar.stop(1);
}

/// What the tap had acknowledged and not kept is unknown; all else is true.
#[test]
fn of_a_queue_nothing_untrue_is_found() {
    let rabbitmq = RabbitMq::take();
    let (sidecar, there, lost) = killed(&rabbitmq, "queue");
    let found = truth::judged(&sidecar, "log", sum(&there) + sum(&lost));
    assert!(found["seen"] <= sum(&there), "{found:?}");
    let findings = truth::findings(&sidecar, "log");
    let (called_lost, unknown) = (named(&findings, "lost"), named(&findings, "unknown"));
    assert!(sum(&called_lost) > 0, "nothing was judged between the kills");
    for (lane, numbers) in &called_lost {
        assert!(numbers.is_subset(&lost[lane]), "{lane:?}: {:?}", numbers - &lost[lane]);
    }
    assert_eq!(found["seen"] + sum(&called_lost) + sum(&unknown), sum(&there) + sum(&lost));
    assert_eq!(sidecar.rows("/v1/duplicates", "view=log"), Vec::<serde_json::Value>::new());
    sidecar.stop(1);
}
