//! The allocators a master can be told to use: the built-in ones, and those a binary adds.

use std::collections::BTreeMap;

use proffer_allocator::Allocator;
use proffer_master::NewAllocator;

use crate::failure::WrongUse;

/// Allocators by name.
#[derive(Debug, Default)]
pub(crate) struct Allocators {
    added: BTreeMap<String, fn() -> Box<dyn Allocator>>,
}

impl Allocators {
    pub(crate) fn add(&mut self, name: &str, new: fn() -> Box<dyn Allocator>) {
        self.added.insert(name.to_owned(), new);
    }

    /// What makes the allocator of that name. Fails with the names there are.
    pub(crate) fn get(&self, name: &str) -> Result<NewAllocator, WrongUse> {
        if let Some(new) = self.added.get(name) {
            return Ok(Box::new(*new));
        }
        let built_in = proffer_allocator::names();
        let Some(name) = built_in.into_iter().find(|known| *known == name) else {
            let added = self.added.keys().map(String::as_str);
            let names: Vec<&str> = built_in.into_iter().chain(added).collect();
            let (name, names) = (name.escape_debug(), names.join(", "));
            return Err(WrongUse(format!(
                "--allocator: no allocator `{name}`; there are {names}"
            )));
        };
        Ok(Box::new(move || {
            proffer_allocator::by_name(name).expect("a name that is listed is known")
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_a_built_in_or_of_an_added_allocator() {
        let mut allocators = Allocators::default();
        allocators.add("mine", || proffer_allocator::by_name("fifo").unwrap());
        assert_eq!(allocators.get("drf").unwrap()().name(), "drf");
        assert_eq!(allocators.get("mine").unwrap()().name(), "fifo");
        let refused = allocators.get("lottery").err().unwrap().to_string();
        assert!(refused.contains("`lottery`; there are drf, "), "{refused}");
        assert!(refused.ends_with(", mine"), "{refused}");
    }
}
