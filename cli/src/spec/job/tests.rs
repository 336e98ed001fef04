//! What a person sees of a job file that is wrong.

use expect_test::{Expect, expect};

use proffer_types::Timestamp;

use super::check_job;

/// What a person sees of a file that is wrong, from its tasks on.
fn check(tasks: &str, expected: Expect) {
    check_file(&format!("name: j\ntasks:\n{tasks}"), expected);
}

fn check_file(text: &str, expected: Expect) {
    let shown = match check_job("job.yaml", text, Timestamp(1_795_302_000_000)) {
        Ok(_) => "nothing is wrong\n".to_owned(),
        Err(error) => format!("{error}\n{}", error.excerpt()),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_line_that_cannot_be_read_is_shown_with_a_mark() {
    check(
        "  - name: a\n    command: [x]\n    imago: alpine\n",
        expect![[r#"
            job.yaml:5:5: tasks[0].imago: unknown field `imago`, expected one of name, count, after, max_running, retries, backoff, max_backoff, retry_on_exit, fail_on_exit, timeout, gang, command, arguments, image, user, groups, env, secret_env, config_env, env_from, on_change, working_directory, cpus, mem, disk, resources, limits, pids, rlimits, cgroup, capabilities, may_gain_privileges, seccomp, user_namespace, read_only, devices, volumes, network, ports, fetch, health, readiness, restart, logs, keep, tty, stdin, kill_grace, constraints, max_per_agent, placement
              |
            5 |     imago: alpine
              |     ^
        "#]],
    );
    check(
        "  - name: a\n    command: [x]\n    mem: 64 MiB and some\n",
        expect![[r#"
            job.yaml:5:10: tasks[0].mem: `64 MiB and some` is not a size; write it like 64MiB, 1.5GiB or a number of bytes
              |
            5 |     mem: 64 MiB and some
              |          ^
        "#]],
    );
    check(
        "  - name: a\n    command: [x\n",
        expect![[r#"
        job.yaml:4:14: tasks[0].command: unclosed bracket '['
          |
        4 |     command: [x
          |              ^
    "#]],
    );
}

#[test]
fn what_comes_after_what_is_checked_before_anything_is_submitted() {
    let (a, b) = (
        "  - { name: a, command: [x], after: [b] }\n",
        "  - { name: b, command: [x], after: [c] }\n",
    );
    check(
        &format!("{a}{b}"),
        expect![[r#"
        job.yaml:4:38: task `b` comes after `c`, which is not a task of the job
          |
        4 |   - { name: b, command: [x], after: [c] }
          |                                      ^
    "#]],
    );
    let c = "  - name: c\n    command: [x]\n    after:\n      - { task: a, on: any }\n";
    check(
        &format!("{a}{b}{c}"),
        expect![[r#"
        job.yaml:3:38: tasks come after each other in a cycle: a -> b -> c -> a
          |
        3 |   - { name: a, command: [x], after: [b] }
          |                                      ^
    "#]],
    );
    check(
        "  - { name: a, command: [x] }\n  - { name: a, command: [y] }\n",
        expect![[r#"
            job.yaml:4:13: task `a` is named twice
              |
            4 |   - { name: a, command: [y] }
              |             ^
        "#]],
    );
    check(
        "  - { name: a, count: 2, command: [x] }\n  - { name: b, count: 3, command: [x], after: [{ task: a, each: true }] }\n",
        expect![[r#"
            job.yaml:4:48: each index of task `b` comes after the same of `a`, which has 2, and not 3
              |
            4 |   - { name: b, count: 3, command: [x], after: [{ task: a, each: true }] }
              |                                                ^
        "#]],
    );
}

#[test]
fn what_a_task_may_not_say_is_refused_where_it_says_so() {
    check(
        "  - { name: a b, command: [x] }\n",
        expect![[r#"
        job.yaml:3:13: task name `a b` must be 1 to 63 letters, digits, `_` or `-`
          |
        3 |   - { name: a b, command: [x] }
          |             ^
    "#]],
    );
    check(
        "  - { name: a, cpus: 0, command: [x] }\n",
        expect![[r#"
        job.yaml:3:22: task `a` must ask for more than 0 cpus
          |
        3 |   - { name: a, cpus: 0, command: [x] }
          |                      ^
    "#]],
    );
    check(
        "  - { name: a, gang: true, max_running: 2, count: 4, command: [x] }\n",
        expect![[r#"
            job.yaml:3:41: task `a` is a gang, which runs whole, and cannot be limited to some of it at once
              |
            3 |   - { name: a, gang: true, max_running: 2, count: 4, command: [x] }
              |                                         ^
        "#]],
    );
    check(
        "  - { name: a, retries: 101, command: [x] }\n",
        expect![[r#"
        job.yaml:3:25: task `a` has 101 retries, at most 100 are allowed
          |
        3 |   - { name: a, retries: 101, command: [x] }
          |                         ^
    "#]],
    );
    check(
        "  - { name: a, command: [x], retry_on_exit: [300] }\n",
        expect![[r#"
            job.yaml:3:45: tasks[0].retry_on_exit: 300 is no exit code, which are 0 to 255
              |
            3 |   - { name: a, command: [x], retry_on_exit: [300] }
              |                                             ^
        "#]],
    );
    check(
        "  - { name: a, limits: { cpus: 0.1 }, cpus: 1, command: [x] }\n",
        expect![[r#"
            job.yaml:3:32: tasks[0].limits.cpus: 0.1 is less than the 1 that the task asks for
              |
            3 |   - { name: a, limits: { cpus: 0.1 }, cpus: 1, command: [x] }
              |                                ^
        "#]],
    );
    check(
        "  - name: a\n",
        expect![[r#"
            job.yaml:3:5: tasks[0].command: is empty, and there is no image
              |
            3 |   - name: a
              |     ^
        "#]],
    );
    check(
        "  - { name: a, count: 1000001, command: [x] }\n",
        expect![[r#"
            job.yaml:3:3: 1000001 instances in one job, at most 1000000 are allowed
              |
            3 |   - { name: a, count: 1000001, command: [x
              |   ^
        "#]],
    );
}

#[test]
fn what_a_job_may_not_say_is_refused_where_it_says_so() {
    let tasks = "tasks: [{ name: a, command: [x] }]\n";
    check_file(
        &format!("name: -j\n{tasks}"),
        expect![[r#"
        job.yaml:1:7: job name `-j` must be 1 to 63 letters, digits, `.`, `_` or `-`, and begin with a letter or digit
          |
        1 | name: -j
          |       ^
    "#]],
    );
    check_file(
        &format!("name: j\npriority: 5000\n{tasks}"),
        expect![[r#"
        job.yaml:2:11: priority 5000 is not between -1000 and 1000
          |
        2 | priority: 5000
          |           ^
    "#]],
    );
    check_file(
        "name: j\ntasks: []\n",
        expect![[r#"
        job.yaml:2:8: job `j` has no tasks
          |
        2 | tasks: []
          |        ^
    "#]],
    );
    check_file(
        &format!("name: j\nschedule: {{ cron: \"61 * * * *\" }}\n{tasks}"),
        expect![[r#"
            job.yaml:2:19: the cron expression `61 * * * *` must have five fields, such as `*/5 * * * *`: Component error: Number out of bounds.
              |
            2 | schedule: { cron: "61 * * * *" }
              |                   ^
        "#]],
    );
    check_file(
        &format!("name: j\nschedule: {{ cron: \"1 * * * *\", timezone: Mars/Olympus }}\n{tasks}"),
        expect![[r#"
            job.yaml:2:42: there is no time zone `Mars/Olympus`; they have names such as `Europe/Berlin`
              |
            2 | schedule: { cron: "1 * * * *", timezone: Mars/Olympus }
              |                                          ^
        "#]],
    );
    check_file(
        "name: j\nschedule: { every: 30s }\ntasks: [{ name: a, retries: 1, command: [x] }]\n",
        expect![[r#"
            job.yaml:3:29: task `a` has retries or a restart policy, but a task of an at_most_once job never runs twice in a window; drop them, or say `missed: at_least_once`
              |
            3 | tasks: [{ name: a, retries: 1, command: [x] }]
              |                             ^
        "#]],
    );
}

#[test]
fn what_a_template_takes_is_checked_where_it_says_so() {
    let check = |head: &str, command: &str, expected: Expect| {
        let text = format!("name: j\n{head}\ntasks:\n  - name: a\n    command: [x, {command}]\n");
        check_file(&text, expected);
    };
    let fields = "parameters: { day: { default: 007 }, region: { required: true, description: where } }\npayload: optional\nhistory: 5";
    check(
        fields,
        "'${param.day}-${param.region}'",
        expect![[r#"
        nothing is wrong
    "#]],
    );
    check(
        fields,
        "'${param.month}'",
        expect![[r#"
        job.yaml:7:18: the command of task `a` has `${param.month}`, which is not a parameter of the job
          |
        7 |     command: [x, '${param.month}']
          |                  ^
    "#]],
    );
    check(
        fields,
        "y, '${param.day'",
        expect![[r#"
        job.yaml:7:21: the command of task `a` has `${param.` without a `}` behind it
          |
        7 |     command: [x, y, '${param.day']
          |                     ^
    "#]],
    );
    check(
        "parameters: { Day: {} }",
        "y",
        expect![[r#"
        job.yaml:2:13: parameter name `Day` must be 1 to 63 letters in lower case, digits or `_`, and begin with a letter
          |
        2 | parameters: { Day: {} }
          |             ^
    "#]],
    );
    check(
        "parameters: { day: { required: true, default: 7 } }",
        "y",
        expect![[r#"
            job.yaml:2:20: parameter `day` is required, and so its default would mean nothing
              |
            2 | parameters: { day: { required: true, default: 7 } }
              |                    ^
        "#]],
    );
    check(
        "parameters: {}\nhold: true",
        "y",
        expect![[r#"
        job.yaml:3:7: job `j` has parameters and runs when it is dispatched; it cannot be held
          |
        3 | hold: true
          |       ^
    "#]],
    );
    check(
        "history: 5",
        "y",
        expect![[r#"
        job.yaml:2:10: only a job with `parameters` or a `payload` has a history; that of a schedule is said there
          |
        2 | history: 5
          |          ^
    "#]],
    );
    check(
        "payload: maybe",
        "y",
        expect![[r#"
        job.yaml:2:10: payload: unknown variant `maybe`, expected one of none, optional, required
          |
        2 | payload: maybe
          |          ^
    "#]],
    );
    check(
        "parameters: { day: {} }",
        "y]\n    env: { A: b, C: '${param.x}' }\n    arguments: [z",
        expect![[r#"
            job.yaml:6:21: the variable `C` of task `a` has `${param.x}`, which is not a parameter of the job
              |
            6 |     env: { A: b, C: '${param.x}' }
              |                     ^
        "#]],
    );
}
