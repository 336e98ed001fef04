//! What a person sees of jobs of every size.

use expect_test::{Expect, expect};

use super::*;

fn counts(finished: u32, running: u32, waiting: u32, failed: u32) -> v1::JobTaskCounts {
    v1::JobTaskCounts {
        finished,
        running,
        waiting,
        failed,
        ..Default::default()
    }
}

fn task(name: &str, count: u32) -> v1::JobTask {
    v1::JobTask {
        name: name.to_owned(),
        count,
        ..Default::default()
    }
}

fn job(tasks: Vec<v1::JobTask>, counts: Vec<v1::JobTaskCounts>) -> v1::Job {
    v1::Job {
        spec: Some(v1::JobSpec {
            name: "corpus".to_owned(),
            tasks,
            ..Default::default()
        }),
        state: v1::JobState::JobRunning.into(),
        ended_ms: 3000,
        counts,
        ..Default::default()
    }
}

fn instance(name: &str, index: u32, state: v1::JobTaskState) -> v1::JobTaskInstance {
    v1::JobTaskInstance {
        name: name.to_owned(),
        index,
        attempts: 1,
        state: state.into(),
        ..Default::default()
    }
}

fn failed(index: u32, stderr: Option<Result<&str, &str>>) -> Trouble {
    let exit = v1::TaskExit {
        how: Some(v1::task_exit::How::Code(3)),
    };
    let usage = v1::Usage {
        wall_time_us: 1_200_000,
        ..Default::default()
    };
    let status = v1::TaskStatus {
        state: v1::TaskState::TaskFailed.into(),
        reason: v1::StatusReason::ReasonCommandFailed.into(),
        message: "command exited with code 3".to_owned(),
        exit: Some(exit),
        usage: Some(usage),
        ..Default::default()
    };
    Trouble {
        instance: v1::JobTaskInstance {
            attempts: 2,
            status: Some(status),
            ..instance("map", index, v1::JobTaskState::JobTaskFailed)
        },
        stderr: stderr.map(|read| read.map(str::to_owned).map_err(str::to_owned)),
    }
}

fn check(seen: Seen, width: usize, expected: Expect) {
    expected.assert_eq(&Glance::new(seen).text(width, Ink::PLAIN));
}

fn large() -> Seen {
    let tasks = vec![task("split", 1), task("map", 5000), task("sum", 1)];
    let states = vec![counts(1, 0, 0, 0), counts(4812, 96, 80, 12), counts(0, 0, 1, 0)];
    Seen {
        job: job(tasks, states),
        failed: vec![
            failed(17, Some(Ok("Traceback\nValueError: \u{1b}[2Jbad"))),
            failed(40, Some(Err("its agent is not connected"))),
            failed(41, Some(Ok(""))),
        ],
        running: vec![instance("map", 4900, v1::JobTaskState::JobTaskRunning)],
        ..Default::default()
    }
}

#[test]
fn a_large_job_is_a_line_for_each_task_and_a_few_of_what_failed_and_runs() {
    check(
        large(),
        usize::MAX,
        expect![[r#"
        job corpus  RUNNING  role *  submitted -  took 3.0s  4,813 of 5,002 finished, 96 running, 81 waiting, 12 failed
        TASK      FINISHED  RUNNING  WAITING  FAILED
        split          1/1        0        0
        map[]  4,812/5,000       96       80      12
        sum            0/1        0        1

        failed
          map[17]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            | Traceback
            | ValueError: \u{1b}[2Jbad
          map[40]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            (its stderr cannot be read: its agent is not connected)
          map[41]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            (its stderr is empty)
          ... and 9 more: `proffer job status corpus --state failed`

        running
          map[4900]
          ... and 95 more: `proffer job status corpus --state running`
    "#]],
    );
}

#[test]
fn a_terminal_has_bars_and_no_line_is_longer_than_it() {
    check(
        large(),
        100,
        expect![[r#"
        job corpus  RUNNING  role *  submitted -  took 3.0s  4,813 of 5,002 finished, 96 running, 81 waiting, 12 failed
        TASK   PROGRESS                     FINISHED  RUNNING  WAITING  FAILED
        split  ████████████████████████          1/1        0        0
        map[]  ███████████████████████×  4,812/5,000       96       80      12
        sum    ························          0/1        0        1

        failed
          map[17]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            | Traceback
            | ValueError: \u{1b}[2Jbad
          map[40]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            (its stderr cannot be read: its agent is not connected)
          map[41]  exit 3  after 1.2s  COMMAND_FAILED: command exited with code 3  (attempt 2)
            (its stderr is empty)
          ... and 9 more: `proffer job status corpus --state failed`

        running
          map[4900]
          ... and 95 more: `proffer job status corpus --state running`
    "#]],
    );
    let text = Glance::new(large()).text(60, Ink::PLAIN);
    let lines = text
        .lines()
        .skip(1)
        .filter(|line| !line.contains("proffer job status"));
    assert!(
        lines.clone().all(|line| console::measure_text_width(line) <= 60),
        "{text}"
    );
}

#[test]
fn a_small_job_is_shown_whole() {
    let mut job = job(
        vec![task("a", 1), task("b", 2)],
        vec![counts(1, 0, 0, 0), counts(0, 1, 1, 0)],
    );
    job.tasks = vec![
        instance("a", 0, v1::JobTaskState::JobTaskFinished),
        instance("b", 0, v1::JobTaskState::JobTaskRunning),
        instance("b", 1, v1::JobTaskState::JobTaskWaiting),
    ];
    check(
        Seen {
            job,
            ..Default::default()
        },
        usize::MAX,
        expect![[r#"
            job corpus  RUNNING  role *  submitted -  took 3.0s  1 of 3 finished, 1 running, 1 waiting
            TASK  STATE     EXIT  WALL  CPU  PEAK MEM  ATTEMPTS  REASON
            a     FINISHED     -     -    -         -         1
            b[0]  RUNNING      -     -    -         -         1
            b[1]  WAITING      -     -    -         -         1
        "#]],
    );
}

#[test]
fn a_job_of_many_tasks_is_counted_by_state() {
    let tasks = (0..1000).map(|n| task(&format!("t{n}"), 2)).collect();
    let states = (0..1000).map(|n| match n {
        0..700 => counts(2, 0, 0, 0),
        700..703 => counts(0, 1, 1, 0),
        _ => counts(0, 0, 2, 0),
    });
    check(
        Seen {
            job: job(tasks, states.collect()),
            ..Default::default()
        },
        usize::MAX,
        expect![[r#"
            job corpus  RUNNING  role *  submitted -  took 3.0s  1,400 of 2,000 finished, 3 running, 597 waiting
            STATE     TASKS  INSTANCES  SUCH AS
            RUNNING       3          6  t700[], t701[], t702[]
            WAITING     297        594  t703[], t704[], t705[], t706[], ...
            FINISHED    700      1,400  t0[], t1[], t2[], t3[], ...
        "#]],
    );
}

#[test]
fn colours_change_no_letter() {
    let plain = Glance::new(large()).text(100, Ink::PLAIN);
    let coloured = Glance::new(large()).text(100, Ink { is_on: true });
    assert_ne!(plain, coloured);
    assert_eq!(console::strip_ansi_codes(&coloured), plain);
}
