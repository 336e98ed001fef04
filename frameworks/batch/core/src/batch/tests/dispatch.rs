//! Templates: what of them is run, with what, and how often.

use expect_test::expect;
use proffer_session::Scheduler as _;
use proffer_types::container::Fetch;
use proffer_types::scheduler_link::Call;
use proffer_types::{Resources, TaskInfo};

use super::words::dispatch;
use super::world::{World, check, launched, offer, spec_of};
use crate::{
    DispatchError, JobSpec, MAX_PAYLOAD_BYTES, MAX_VALUE_BYTES, Parameter, Payload, SubmitError, Template,
    TemplateError, ValueError,
};

#[test]
fn a_template_runs_when_it_is_dispatched_and_not_by_itself() {
    check(
        "submit J a b<a takes:day,region! | check K a takes:x | offer O1 cpus:1;mem:8GiB | explain J | dispatch J region=eu \
         | dispatch J id:two region=us | runs J | offer O2 cpus:4;mem:8GiB | explain J | J@two-3.a.0 FINISHED | crash \
         | offer O3 cpus:1;mem:8GiB | J@two-3.b.0 FINISHED | show J@two | runs J | explain J@two",
        expect![[r#"
            submit J a b<a takes:day,region!: 2 instances
            check K a takes:x: 1 instances, would want
            offer O1 cpus:1;mem:8GiB: decline O1 0ns
            explain J: job `J` runs when it is dispatched; none of its runs is open.
            dispatch J region=eu: J@19700101T000000Z-2; want * 2.0*1
            dispatch J id:two region=us: J@two; want * 2.0*1 3.0*1
            runs J: J@19700101T000000Z-2 Pending / J@two Pending
            offer O2 cpus:4;mem:8GiB: accept O2 J@19700101T000000Z-2-2.a.0 J@two-3.a.0 0ns; want *
            explain J: job `J` runs when it is dispatched; 2 of its runs have not ended.
            J@two-3.a.0 FINISHED: want * 3.1*1
            crash: want * 3.1*1
            offer O3 cpus:1;mem:8GiB: accept O3 J@two-3.b.0 0ns; want *
            show J@two: Finished a.0:Finished b.0:Finished
            runs J: J@19700101T000000Z-2 Running / J@two Finished
            explain J@two: job `J@two` has finished.
        "#]],
    );
}

#[test]
fn the_same_token_starts_nothing_again_while_its_run_is_kept() {
    check(
        "submit J a takes:1 | dispatch J id:a | dispatch J id:a x=1 | offer O1 cpus:1;mem:8GiB | J@a-2.a.0 FINISHED | crash \
         | dispatch J id:a | cancel J | dispatch J id:a | dispatch J id:b | runs J",
        expect![[r#"
            submit J a takes:1: 1 instances
            dispatch J id:a: J@a; want * 2.0*1
            dispatch J id:a x=1: J@a was there
            offer O1 cpus:1;mem:8GiB: accept O1 J@a-2.a.0 0ns; want *
            crash: want *
            dispatch J id:a: J@a was there
            dispatch J id:a: J@a was there
            dispatch J id:b: job `J` was cancelled
            runs J: J@a Finished / cancelled, 0 open / ended
        "#]],
    );
}

#[test]
fn runs_that_have_ended_are_kept_as_many_as_the_template_says_the_latest() {
    check(
        "submit J a*2 takes:2 | dispatch J id:a | dispatch J id:b | dispatch J id:c | dispatch J id:d | offer O1 cpus:8;mem:8GiB \
         | J@c-4.a.0 FINISHED | J@c-4.a.1 FINISHED | J@b-3.a.0 FINISHED | J@b-3.a.1 FINISHED | J@a-2.a.0 FINISHED \
         | J@a-2.a.1 FAILED | runs J | crash | runs J | requeue J@a | dispatch J id:c | runs J | report J",
        expect![[r#"
            submit J a*2 takes:2: 2 instances
            dispatch J id:a: J@a; want * 2.0*2
            dispatch J id:b: J@b; want * 2.0*2 3.0*2
            dispatch J id:c: J@c; want * 2.0*2 3.0*2 4.0*2
            dispatch J id:d: J@d; want * 2.0*2 3.0*2 4.0*2 5.0*2
            offer O1 cpus:8;mem:8GiB: accept O1 J@a-2.a.0 J@a-2.a.1 J@b-3.a.0 J@b-3.a.1 J@c-4.a.0 J@c-4.a.1 J@d-5.a.0 J@d-5.a.1 0ns; want *
            runs J: J@a Failed / J@b Finished / J@d Running
            crash: want *
            runs J: J@a Failed / J@b Finished / J@d Running
            requeue J@a: 1 again; want * 2.0*1
            dispatch J id:c: J@c; want * 2.0*1 6.0*2
            runs J: J@a Running / J@b Finished / J@d Running / J@c Pending
            report J: J@a attempts: 2 finished: 1 unmeasured: 2 unmeasured_us: 11000 waiting_ms: 8 longest_waiting_ms: 4 / J@b attempts: 2 finished: 2 unmeasured: 2 unmeasured_us: 7000 waiting_ms: 6 longest_waiting_ms: 3 / J@d  / J@c 
        "#]],
    );
}

#[test]
fn a_template_that_is_cancelled_ends_with_its_runs() {
    check(
        "submit J a takes: | dispatch J id:a | dispatch J id:b | offer O1 cpus:1;mem:8GiB | cancel-schedule J | runs J | explain J \
         | submit J a | dispatch J id:c | cancel J | crash | runs J | J@a-2.a.0 KILLED | runs J | explain J | submit J a | runs J",
        expect![[r#"
            submit J a takes:: 1 instances
            dispatch J id:a: J@a; want * 2.0*1
            dispatch J id:b: J@b; want * 2.0*1 3.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@a-2.a.0 0ns; want * 3.0*1
            runs J: J@a Running / J@b Pending / cancelled, 2 open
            explain J: job `J` was cancelled, and 2 of its runs have not ended.
            submit J a: job `J` exists and has not ended; cancel it or choose another name
            dispatch J id:c: job `J` was cancelled
            cancel J: kill J@a-2.a.0; want *
            crash: want *
            runs J: J@a Running / J@b Cancelled / cancelled, 1 open
            runs J: J@a Cancelled / J@b Cancelled / cancelled, 0 open / ended
            explain J: job `J` was cancelled.
            submit J a: 1 instances; want * 4.0*1
            runs J: no template
        "#]],
    );
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    check(
        "submit J a takes:day,region! | dispatch J | dispatch J region=x zone=y | dispatch J region=x #text \
         | dispatch J id:@ region=x | dispatch K | submit K a | dispatch K | submit R a ~every:10 | dispatch R \
         | submit L a takes:#! | dispatch L | dispatch L x=1 #text | submit M a takes: ~every:10 | submit M a takes: held \
         | submit M a takes: after:K | submit M a after:J | submit M a takes:Day | submit M a takes:1001 | hold J | requeue J \
         | pause J | trigger J | submit J a | runs J",
        expect![[r#"
            submit J a takes:day,region!: 1 instances
            dispatch J: job `J` needs a value of `region`
            dispatch J region=x zone=y: job `J` has no parameter `zone`; it has day, region
            dispatch J region=x #text: job `J` takes no payload
            dispatch J id:@ region=x: token `@` must be at most 63 letters, digits, `.`, `_` or `-`, and begin with a letter or digit
            dispatch K: no job is named `K`
            submit K a: 1 instances; want * 2.0*1
            dispatch K: job `K` takes no parameters; it runs by itself
            submit R a ~every:10: 1 instances
            dispatch R: job `R` takes no parameters; it runs by itself
            submit L a takes:#!: 1 instances
            dispatch L: job `L` needs a payload
            dispatch L x=1 #text: job `L` has no parameter `x`, nor any other
            submit M a takes: ~every:10: job `M` has parameters and runs when it is dispatched; it cannot recur
            submit M a takes: held: job `M` has parameters and runs when it is dispatched; it cannot be held
            submit M a takes: after:K: job `M` has parameters and runs when it is dispatched; it cannot come after other jobs
            submit M a after:J: job `J` runs when it is dispatched and never ends; a job may come after one of its runs
            submit M a takes:Day: parameter name `Day` must be 1 to 63 letters in lower case, digits or `_`, and begin with a letter
            submit M a takes:1001: a history of 1001 runs is longer than 1000
            hold J: job `J` runs when it is dispatched; hold one of its runs
            requeue J: job `J` runs when it is dispatched; dispatch it, or requeue one of its runs
            pause J: no recurring job is named `J`
            trigger J: no recurring job is named `J`
            submit J a: job `J` exists and has not ended; cancel it or choose another name
        "#]],
    );
}

fn template(command: &[&str], payload: Payload) -> JobSpec {
    let mut task = spec_of("a", 1, None, Resources::of(1000, 1 << 30, 0));
    task.container.command = command.iter().map(|word| (*word).to_owned()).collect();
    task.container.env = [("REGION".to_owned(), "in ${param.region}".to_owned())].into();
    task.container.arguments = vec!["--x=${param.x}${param.x}".to_owned()];
    let parameters = ["region", "x"].map(|name| (name.to_owned(), Parameter::default()));
    JobSpec {
        name: "J".to_owned(),
        tasks: vec![task],
        template: Some(Template {
            parameters: parameters.into(),
            payload,
            history: 0,
        }),
        ..JobSpec::default()
    }
}

fn launch(world: &mut World) -> TaskInfo {
    let room = offer("O1", "cpus:1;mem:8GiB", None);
    let ((), calls) = world.run(|batch, cx| batch.offers(cx, vec![room]));
    let Some(Call::Accept { operations, .. }) = calls.first() else {
        panic!("{calls:?}");
    };
    launched(operations).next().unwrap().clone()
}

#[test]
fn a_task_is_told_what_its_run_was_dispatched_with() {
    let mut world = World::new();
    let spec = template(&["run", "${param.region}.txt"], Payload::Optional);
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    let given = dispatch(&["id:1", "region=${param.x}", "x=1 2", "#\0hi"]);
    let dispatched = world.run(|batch, cx| batch.dispatch("J", given, Some(7), Some("alice".to_owned()), cx));
    dispatched.0.unwrap();
    // As it is found again, too.
    world.crash();
    let run = world.batch.get("J@1", &crate::Pick::NONE).unwrap();
    assert_eq!((run.spec.priority, run.spec.user.as_str()), (7, "alice"));
    let container = launch(&mut world).container;
    assert_eq!(container.command, ["run", "${param.x}.txt"]);
    assert_eq!(container.arguments, ["--x=1 21 2"]);
    let env = |name: &str| container.env.get(name).map(String::as_str);
    assert_eq!(env("REGION"), Some("in ${param.x}"));
    assert_eq!(env("PROFFER_PARAM_REGION"), Some("${param.x}"));
    assert_eq!(env("PROFFER_PARAM_X"), Some("1 2"));
    assert_eq!(env("PROFFER_JOB"), Some("J"));
    assert_eq!(env("PROFFER_PAYLOAD"), Some("/run/proffer/sandbox/payload"));
    let fetch = Fetch {
        uri: "data:;base64,AGhp".to_owned(),
        sha256: None,
        destination: Some("payload".to_owned()),
        executable: false,
        extract: false,
        cache: false,
    };
    assert_eq!(container.fetch, [fetch]);
}

#[test]
fn a_run_without_a_payload_is_told_of_none() {
    let mut world = World::new();
    let spec = template(&["run"], Payload::Optional);
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    let given = dispatch(&["x=1"]);
    let dispatched = world
        .run(|batch, cx| batch.dispatch("J", given, None, None, cx))
        .0;
    assert_eq!(dispatched.unwrap().run, "J@19700101T000000Z-2");
    let container = launch(&mut world).container;
    assert_eq!(container.env.get("PROFFER_PAYLOAD"), None);
    assert_eq!(container.env["PROFFER_PARAM_REGION"], "");
    assert!(container.fetch.is_empty());
}

#[test]
fn what_a_template_refers_to_has_to_be_one_of_its_parameters() {
    let mut world = World::new();
    let mut refused = |spec: JobSpec| {
        let submitted = world.run(|batch, cx| batch.submit(spec, cx)).0;
        assert!(world.store.is_empty());
        submitted.unwrap_err().to_string()
    };
    assert_eq!(
        refused(template(&["a", "${param.day}"], Payload::None)),
        "the command of task `a` has `${param.day}`, which is not a parameter of the job"
    );
    assert_eq!(
        refused(template(&["a", "${param.x"], Payload::None)),
        "the command of task `a` has `${param.` without a `}` behind it"
    );
    let mut taken = template(&["a"], Payload::Optional);
    taken.tasks[0].container.fetch.push(Fetch {
        uri: "http://h/payload".to_owned(),
        sha256: None,
        destination: None,
        executable: false,
        extract: false,
        cache: false,
    });
    assert_eq!(
        refused(taken),
        "task `a` cannot be given what the job is dispatched with: fetch[1].destination: is that of another file too"
    );
    let mut many = template(&["a"], Payload::None);
    let parameters = &mut many.template.as_mut().unwrap().parameters;
    parameters.extend((0..63).map(|n| (format!("p{n}"), Parameter::default())));
    assert_eq!(refused(many), "65 parameters, at most 64 are allowed");
    let mut both = template(&["a"], Payload::None);
    let x = both.template.as_mut().unwrap().parameters.get_mut("x").unwrap();
    (x.required, x.default) = (true, "1".to_owned());
    assert_eq!(
        refused(both),
        "parameter `x` is required, and so its default would mean nothing"
    );
    let mut run = template(&["a"], Payload::None);
    (run.template, run.dispatch) = (None, Some(dispatch(&["id:a"])));
    let error = world.run(|batch, cx| batch.submit(run, cx)).0.unwrap_err();
    let dispatched = TemplateError::Dispatched("J".to_owned());
    assert_eq!(error, SubmitError::Template(dispatched));
}

#[test]
fn values_that_are_too_much_are_refused() {
    let mut world = World::new();
    // Some 60 KiB of what refers to a value, in each of many tasks.
    let mut spec = template(&["${param.x}"], Payload::Optional);
    let long = "${param.x}".repeat(6000);
    spec.tasks[0].container.command.push(long);
    for n in 0..20 {
        let mut task = spec.tasks[0].clone();
        task.name = format!("b{n}");
        spec.tasks.push(task);
    }
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    let store = world.store.clone();
    let mut refused = |given: crate::Dispatch| {
        let dispatched = world
            .run(|batch, cx| batch.dispatch("J", given, None, None, cx))
            .0;
        assert_eq!(world.store, store);
        dispatched.unwrap_err()
    };
    let x = |value: String| crate::Dispatch {
        values: [("x".to_owned(), value)].into(),
        ..crate::Dispatch::default()
    };
    let value = |error: ValueError| DispatchError::Value(error);
    assert_eq!(
        refused(x("1".repeat(MAX_VALUE_BYTES + 1))),
        value(ValueError::Large {
            name: "x".to_owned(),
            n_bytes: MAX_VALUE_BYTES + 1
        })
    );
    assert_eq!(
        refused(x("1\0".to_owned())),
        value(ValueError::Nul("x".to_owned()))
    );
    // 500 MiB, which are never made.
    assert_eq!(
        refused(x("1".repeat(MAX_VALUE_BYTES))),
        value(ValueError::LargeRun)
    );
    let error = refused(x("1".repeat(20))).to_string();
    assert!(error.starts_with("task `a` has a container of 1"), "{error}");
    let error = refused(x(String::new())).to_string();
    assert_eq!(
        error,
        "with these values, task `a` is not one that can run: command[0]: is empty"
    );
    let payload = crate::Dispatch {
        payload: Some(vec![0; MAX_PAYLOAD_BYTES + 1]),
        ..x("1".to_owned())
    };
    assert_eq!(
        refused(payload),
        value(ValueError::LargePayload(MAX_PAYLOAD_BYTES + 1))
    );
}
