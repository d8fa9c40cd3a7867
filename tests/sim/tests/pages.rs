//! Pages of findings: however many rows are asked for, they are those that a list of all rows has.

use lacuna_core::report::{Filter, GapRow};
use lacuna_core::verdict::State;
use lacuna_sim::core_side;
use lacuna_sim::traffic::generate;

/// What a page is of all rows, newest first.
fn cut(all: &[GapRow], before: Option<u64>, limit: usize) -> Vec<&GapRow> {
    let below: Vec<&GapRow> =
        all.iter().filter(|row| before.is_none_or(|before| row.age < before)).collect();
    let page = below.get(limit.max(1) - 1).map_or(0, |row| row.age);
    below.into_iter().filter(|row| row.age >= page).collect()
}

#[test]
fn a_page_is_the_newest_of_all_rows() {
    let mut pages = 0;
    for seed in 0..200 {
        let scenario = generate(seed);
        let mut checker = core_side::checker(scenario.knobs.grace, scenario.knobs.skew);
        for line in &scenario.lines {
            core_side::apply(&mut checker, line).unwrap();
        }
        let lost = |state| matches!(state, Some(State::Lost(_)));
        let wants: [&dyn Fn(Option<State>) -> bool; 2] = [&|_| true, &lost];
        let all = wants.map(|wanted| {
            let all = checker.gaps(&Filter::default(), wanted, None, usize::MAX);
            let order = |row: &GapRow| (row.age, row.id, row.first);
            assert!(all.is_sorted_by(|one, other| order(one) >= order(other)), "seed {seed}");
            all
        });
        for (wanted, all) in wants.into_iter().zip(&all) {
            for limit in [0, 1, 2, 5, 40] {
                let mut before = None;
                loop {
                    let page = checker.gaps(&Filter::default(), wanted, before, limit);
                    assert!(page.iter().eq(cut(all, before, limit)), "seed {seed}, {limit}");
                    pages += 1;
                    match page.last() {
                        Some(last) => before = Some(last.age),
                        None => break,
                    }
                }
            }
        }
    }
    assert!(pages > 4_000, "only {pages} pages");
}
