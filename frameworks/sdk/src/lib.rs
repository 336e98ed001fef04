//! What framework authors depend on: the scheduler trait, a tokio driver, durable state.
