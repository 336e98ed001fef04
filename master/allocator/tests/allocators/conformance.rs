//! The built-in allocators pass the suite for authors of allocators, and the suite finds what is broken.

use proffer_allocator::{Allocator, Change, Ledger, Outcome, Round, conformance};

#[test]
fn the_built_in_allocators_conform() {
    for name in proffer_allocator::names() {
        conformance::check(|| proffer_allocator::by_name(name).unwrap());
    }
}

/// A built-in allocator, spoilt in some way.
#[derive(Debug)]
struct Spoilt {
    inner: Box<dyn Allocator>,
    how: How,
    n_rounds: u64,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Mute,
    Deaf,
    ToReleases,
    ToFilters,
    Restless,
    Moody,
    HastyWithGangs,
}

impl Allocator for Spoilt {
    fn name(&self) -> &'static str {
        "spoilt"
    }

    fn observe(&mut self, ledger: &Ledger, change: &Change) {
        let missed = match self.how {
            How::Deaf => true,
            How::ToReleases => matches!(change, Change::Released(..)),
            How::ToFilters => matches!(change, Change::FilterExpired(..)),
            How::Mute | How::Restless | How::Moody | How::HastyWithGangs => false,
        };
        if !missed {
            self.inner.observe(ledger, change);
        }
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        self.n_rounds += 1;
        match self.how {
            How::Mute => Outcome::default(),
            How::Restless => Outcome {
                more: true,
                ..self.inner.allocate(round)
            },
            How::HastyWithGangs => {
                offer_one_task_of_each(round);
                self.inner.allocate(round)
            }
            How::Moody => {
                // What it does depends on how often another instance was asked.
                let asked = NTH.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if asked.is_multiple_of(17) {
                    Outcome::default()
                } else {
                    self.inner.allocate(round)
                }
            }
            How::Deaf | How::ToReleases | How::ToFilters => self.inner.allocate(round),
        }
    }
}

static NTH: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn offer_one_task_of_each(round: &mut Round<'_>) {
    let ledger = round.ledger();
    let leaves: Vec<_> = ledger.leaves().map(|(leaf, _)| leaf).collect();
    let agents: Vec<_> = ledger.agents().map(|(agent, _)| agent).collect();
    for leaf in leaves {
        let wanted = round.ledger().leaf(leaf).unwrap().wanted();
        let shapes: Vec<_> = wanted.map(|(shape, _)| shape.clone()).collect();
        for shape in shapes {
            let _ = round.offer_tasks(leaf, agents[0], &shape, 1);
        }
    }
}

/// What the suite says of a spoilt allocator.
fn verdict(how: How, rule: impl Fn(&dyn Fn() -> Box<dyn Allocator>)) -> String {
    let make = || -> Box<dyn Allocator> {
        Box::new(Spoilt {
            inner: proffer_allocator::by_name("drf").unwrap(),
            how,
            n_rounds: 0,
        })
    };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rule(&make)));
    let panic = caught.expect_err("the suite finds what is broken");
    panic
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn the_suite_finds_what_is_broken() {
    let finds = |how, rule: fn(&dyn Fn() -> Box<dyn Allocator>), words: &str| {
        let verdict = verdict(how, rule);
        assert!(verdict.contains(words), "{how:?}: {verdict}");
    };
    finds(
        How::Mute,
        conformance::offers_all_there_is_to_the_only_framework,
        "every agent is offered",
    );
    finds(How::Deaf, conformance::offers_what_comes_later, "comes later");
    finds(
        How::ToReleases,
        conformance::offers_again_what_was_given_back,
        "given back",
    );
    finds(
        How::ToFilters,
        conformance::respects_a_refusal_until_it_ends,
        "when the refusal ends",
    );
    finds(
        How::Restless,
        conformance::comes_to_an_end,
        "only when the budget is spent",
    );
    finds(
        How::Moody,
        conformance::depends_on_nothing_but_the_seed,
        "the same offers",
    );
    finds(
        How::HastyWithGangs,
        conformance::offers_gangs_whole,
        "was offered in one round",
    );
}
