//! Fields that are a text in short, or fields of their own in full: `image: nginx` or `image: {reference: nginx}`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Reads a text with [`FromStr`], or fields as `Full`.
pub(super) fn text_or<'de, Full, T, D>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    Full: Deserialize<'de>,
    T: FromStr<Err = String> + TryFrom<Full, Error = String>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Either {
        expecting,
        of: PhantomData::<(Full, T)>,
    })
}

struct Either<Full, T> {
    expecting: &'static str,
    of: PhantomData<(Full, T)>,
}

impl<'de, Full, T> Visitor<'de> for Either<Full, T>
where
    Full: Deserialize<'de>,
    T: FromStr<Err = String> + TryFrom<Full, Error = String>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let full = Full::deserialize(MapAccessDeserializer::new(map))?;
        full.try_into().map_err(A::Error::custom)
    }
}

/// Lets a type be read as a text or as fields.
macro_rules! text_or_fields {
    ($type:ty, $full:ty, $expecting:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::spec::either::text_or::<$full, Self, D>(deserializer, $expecting)
            }
        }
    };
}
pub(super) use text_or_fields;

/// Lets types be read from a scalar's own text, so that `0.1` is exact and `1.5GiB` needs no quotes.
macro_rules! from_text {
    ($($type:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(super) use from_text;
