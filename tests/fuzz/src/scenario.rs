//! A world of the simulator in which the fuzzer throws the dice: what the core finds is what the
//! oracle knows, lane by lane.

use lacuna_sim::rng::Rng;
use lacuna_sim::traffic::{Knobs, generate_with};
use lacuna_sim::trial::{Failure, Terms, run};

pub(crate) fn scenario(data: &[u8]) {
    let scenario = generate_with(Rng::of(data));
    let &Knobs { grace, skew, .. } = &scenario.knobs;
    let terms = Terms { grace, skew, every: 7, checkers: 1 };
    if let Err(Failure { after, what }) = run(&scenario.lines, terms) {
        let lines: Vec<String> = scenario.lines.iter().map(ToString::to_string).collect();
        panic!("after {after} lines: {what}\n{}", lines.join("\n"));
    }
}
