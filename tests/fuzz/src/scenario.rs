//! A world of the simulator in which the fuzzer throws the dice: what the core finds is what the
//! oracle knows, lane by lane.

use lacuna_sim::rng::Rng;
use lacuna_sim::traffic::generate_with;
use lacuna_sim::trial::{Failure, run, terms};

pub(crate) fn scenario(data: &[u8]) {
    let scenario = generate_with(Rng::of(data));
    let checkers = usize::from(data.first().copied().unwrap_or(0) % 3) + 1;
    if let Err(Failure { after, what }) = run(&scenario.lines, terms(1, &scenario, checkers)) {
        let lines: Vec<String> = scenario.lines.iter().map(ToString::to_string).collect();
        panic!("after {after} lines: {what}\n{}", lines.join("\n"));
    }
}
