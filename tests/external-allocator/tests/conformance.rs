//! What any allocator must do.

#[test]
fn it_conforms() {
    proffer_allocator::conformance::check(mine::new);
}
