//! When what waits is thought to start.

use expect_test::expect;

use super::world::check;

#[test]
fn what_waits_starts_when_what_runs_and_goes_before_it_is_over_by_its_limits() {
    check(
        "shapes cpus:2;mem:8GiB | submit A a*2 t50 | offer O1 cpus:2;mem:8GiB | submit B a*3 t300 | submit C a | wait 20 | explain B | explain C | wait 40 | explain B",
        expect![[r#"
            submit A a*2 t50: 2 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 0ns; want *
            submit B a*3 t300: 3 instances; want * 2.0*3
            submit C a: 1 instances; want * 2.0*3 3.0*1
            explain B: 3 instances of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. By what runs, it may start in about 30 s.
            explain C: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. 3 of 4 that wait in the queue of role * (priority) go before. By what runs, it may start in about 6 min.
            explain B: 3 instances of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. By what runs, it may start at any moment.
        "#]],
    );
}

#[test]
fn what_ended_tells_how_long_the_next_takes_and_nothing_is_said_where_nothing_is_known() {
    check(
        "shapes cpus:1;mem:8GiB | submit A a*3 | offer O1 cpus:1;mem:8GiB | submit B a | explain B | wait 30 | A-1.a.0 FINISHED wall=30 | offer O2 cpus:1;mem:8GiB | explain B | wait 100 | explain B",
        expect![[r#"
            submit A a*3: 3 instances; want * 1.0*3
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want * 1.0*2
            submit B a: 1 instances; want * 1.0*2 2.0*1
            explain B: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. 2 of 3 that wait in the queue of role * (priority) go before.
            offer O2 cpus:1;mem:8GiB: accept O2 A-1.a.1 0ns; want * 1.0*1 2.0*1
            explain B: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. 1 of 2 that wait in the queue of role * (priority) go before. By what runs, it may start in about 60 s.
            explain B: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. 1 of 2 that wait in the queue of role * (priority) go before. By what runs, it may start in about 30 s.
        "#]],
    );
}

#[test]
fn a_gang_starts_when_there_is_room_for_all_of_it() {
    check(
        "shapes cpus:3;mem:8GiB | submit A a t60 | submit B a t90 | offer O1 cpus:2;mem:8GiB | submit G a b gang | submit H a t9 | explain G | explain H",
        expect![[r#"
            submit A a t60: 1 instances; want * 1.0*1
            submit B a t90: 1 instances; want * 1.0*1 2.0*1
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 B-2.a.0 0ns; want *
            submit G a b gang: 2 instances; want * 3.0*1 gang 3.0 3.1*1 gang 3.0
            submit H a t9: 1 instances; want * 3.0*1 gang 3.0 3.1*1 gang 3.0 4.0*1
            explain G: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB for all 2 of its gang at once: none was made yet. By what runs, it may start in about 90 s. / 1 instance of `b` must wait for an offer with cpus:1;mem:1GiB for all 2 of its gang at once: none was made yet. 1 of 3 that wait in the queue of role * (priority) go before. By what runs, it may start in about 90 s.
            explain H: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet. 2 of 3 that wait in the queue of role * (priority) go before.
        "#]],
    );
}
