//! Graphs drawn as text, and what bounds them.

use expect_test::{Expect, expect};

use super::*;
use crate::views::Ink;

/// A task, and what it comes after: `build`, `build failure`, `split each any`.
fn spec(tasks: &[(&str, u32, &[&str])]) -> v1::JobSpec {
    let condition = |text: &&str| {
        let words: Vec<_> = text.split(' ').collect();
        let on = match () {
            () if words.contains(&"failure") => v1::JobConditionOn::JobOnFailure,
            () if words.contains(&"any") => v1::JobConditionOn::JobOnAny,
            () => v1::JobConditionOn::JobOnSuccess,
        };
        v1::JobCondition {
            task: words[0].to_owned(),
            on: on.into(),
            each: words.contains(&"each"),
        }
    };
    let task = |(name, count, after): &(&str, u32, &[&str])| v1::JobTask {
        name: (*name).to_owned(),
        count: *count,
        conditions: after.iter().map(condition).collect(),
        ..Default::default()
    };
    v1::JobSpec {
        name: "j".to_owned(),
        tasks: tasks.iter().map(task).collect(),
        ..Default::default()
    }
}

fn check(tasks: &[(&str, u32, &[&str])], expected: Expect) {
    let graph = Graph::new(&spec(tasks), &[]);
    expected.assert_eq(&text(&graph, usize::MAX, Ink::PLAIN));
}

const CORPUS: &[(&str, u32, &[&str])] = &[
    ("split", 1, &[]),
    ("map", 100, &["split"]),
    ("check", 100, &["map each"]),
    ("report", 1, &["check"]),
    ("alarm", 1, &["check failure"]),
    ("tidy", 1, &["report any", "split"]),
];

#[test]
fn tasks_stand_layer_by_layer_with_a_lane_for_each_that_others_come_after() {
    check(
        CORPUS,
        expect![[r#"
            job j  6 tasks, 6 edges, 5 layers

            ○      split
            ├─╮
            │ ○    map     100 instances  <- split
            │ ○    check   100 instances  <- map (each)
            │ ├─╮
            │ │ ○  report  <- check
            │ ○ │  alarm   <- check (failure)
            ├───╯
            ○      tidy    <- split, report (any)
        "#]],
    );
    check(
        &[
            ("a", 1, &[]),
            ("b", 1, &[]),
            ("c", 1, &["a", "b"]),
            ("d", 1, &["b"]),
            ("e", 1, &["a", "d"]),
            ("f", 1, &["c", "e"]),
        ],
        expect![[r#"
            job j  6 tasks, 7 edges, 4 layers

            ○      a
            │ ○    b
            ├─┼─╮
            │ │ ○  c  <- a, b
            │ ○ │  d  <- b
            ├─╯ │
            ○   │  e  <- a, d
            ├───╯
            ○      f  <- c, e
        "#]],
    );
    check(
        &[("a", 1, &[]), ("b", 1, &[]), ("c", 3, &[])],
        expect![[r#"
        job j  3 tasks, 0 edges, 1 layer

        ○  a

        ○  b

        ○  c  3 instances
    "#]],
    );
    check(
        &[("a", 1, &[]), ("b", 1, &["a"]), ("c", 1, &["b"])],
        expect![[r#"
            job j  3 tasks, 2 edges, 3 layers

            ○  a
            ○  b  <- a
            ○  c  <- b
        "#]],
    );
}

#[test]
fn counts_tell_how_far_each_task_is() {
    let counts = [
        [1, 0, 0, 0],
        [40, 8, 51, 1],
        [30, 2, 68, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
    ];
    let counts = counts.map(|[finished, running, waiting, failed]| v1::JobTaskCounts {
        finished,
        running,
        waiting,
        failed,
        ..Default::default()
    });
    let graph = Graph::new(&spec(CORPUS), &counts);
    expect![[r#"
        job j  6 tasks, 6 edges, 5 layers

        ●      split   finished
        ├─╮
        │ ✗    map     40/100 finished, 8 running, 51 waiting, 1 fa…
        │ ◐    check   30/100 finished, 2 running, 68 waiting  <- m…
        │ ├─╮
        │ │ ○  report  waiting  <- check
        │ ○ │  alarm   waiting  <- check (failure)
        ├───╯
        ○      tidy    waiting  <- split, report (any)
    "#]]
    .assert_eq(&text(&graph, 60, Ink::PLAIN));
}

/// Chains of three between one task and another.
fn chains(n: usize) -> v1::JobSpec {
    let mut spec = spec(&[("begin", 1, &[])]);
    let mut ends = Vec::new();
    for chain in 0..n {
        let mut earlier = "begin".to_owned();
        for step in ["load", "clean", "train"] {
            let name = format!("{step}-{chain}");
            let after = super::tests::spec(&[(&name, 1, &[&earlier])]);
            spec.tasks.extend(after.tasks);
            earlier = name;
        }
        ends.push(earlier);
    }
    let ends: Vec<_> = ends.iter().map(String::as_str).collect();
    spec.tasks.extend(super::tests::spec(&[("end", 1, &ends)]).tasks);
    spec
}

#[test]
fn tasks_that_stand_alike_in_a_large_graph_are_one_line() {
    let graph = Graph::new(&chains(3000), &[]);
    expect![[r#"
        job j  9,002 tasks, 12,000 edges, 5 layers; tasks that stand alike are one line

        ○  begin
        ○  load-0 .. load-2999    3,000 tasks  <- begin
        ○  clean-0 .. clean-2999  3,000 tasks  <- load-0 .. load-2999
        ○  train-0 .. train-2999  3,000 tasks  <- clean-0 .. clean-2999
        ○  end                    <- train-0 .. train-2999
    "#]]
    .assert_eq(&text(&graph, usize::MAX, Ink::PLAIN));
    assert!(svg(&graph).len() < 20_000);
}

/// Nothing stands alike: each task of a layer comes after others of the layer before.
fn tangle(n_layers: usize, per_layer: usize, n_after: usize) -> v1::JobSpec {
    let mut spec = spec(&[]);
    let mut random = 1_u64;
    for layer in 0..n_layers {
        for at in 0..per_layer {
            let mut after = Vec::new();
            for _ in 0..n_after.min(layer * per_layer) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let other = usize::try_from(random >> 33).unwrap() % (layer * per_layer);
                after.push(format!("t{other}"));
            }
            let after: Vec<_> = after.iter().map(String::as_str).collect();
            let task = super::tests::spec(&[(&format!("t{}", layer * per_layer + at), 1, &after)]);
            spec.tasks.extend(task.tasks);
        }
    }
    spec
}

#[test]
fn a_graph_of_a_hundred_thousand_edges_is_summarised() {
    for (n_layers, per_layer) in [(20, 500), (2000, 5), (2, 5000)] {
        let graph = Graph::new(&tangle(n_layers, per_layer, 11), &[]);
        assert!(graph.edges.len() > 50_000);
        let text = text(&graph, usize::MAX, Ink::PLAIN);
        assert!((3..140).contains(&text.lines().count()), "{text}");
        let folded: u64 = graph.fold(40).nodes.iter().map(|node| node.n_tasks).sum();
        assert_eq!(folded, 10_000, "no task is lost");
        assert!(svg(&graph).len() < 2_000_000);
    }
}

#[test]
fn boxes_of_a_layer_are_apart_and_in_the_order_of_the_fewest_crossings() {
    let crossed = spec(&[
        ("a", 1, &[]),
        ("b", 1, &[]),
        ("c", 1, &["b"]),
        ("d", 1, &["a"]),
        ("e", 1, &["a", "c", "d"]),
    ]);
    let graph = Graph::new(&crossed, &[]);
    let widths = [100.0, 40.0, 60.0, 80.0, 200.0];
    let layout = layout::layout(&graph, &widths);
    for items in &layout.order {
        for pair in items.windows(2) {
            let gap = layout.nodes[pair[1]].1 - layout.nodes[pair[0]].1;
            assert!(
                gap >= f64::midpoint(widths[pair[0]], widths[pair[1]]),
                "{layout:?}"
            );
        }
    }
    let x = |node: usize| layout.nodes[node].1;
    assert_eq!(x(0) < x(1), x(3) < x(2), "{layout:?}");
}

#[test]
fn a_picture_is_xml_whatever_a_name_is() {
    let mut spec = spec(&[("a", 1, &[]), ("b", 2, &["a any"])]);
    spec.name = "<script>&\"\u{7}".to_owned();
    let svg = svg(&Graph::new(&spec, &[]));
    assert!(svg.contains("&lt;script&gt;&amp;&quot;: 2 tasks"), "{svg}");
    assert!(!svg.contains("<script"));
    assert_eq!(svg.matches("<g>").count(), 2);
    assert!(svg.contains(">any</text>"));
}
