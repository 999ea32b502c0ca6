//! JSON entries: reading them without losing the good parts, and pointing into them.

use serde_json::Value as Json;

/// A JSON pointer (RFC 6901) to what these names lead to.
pub fn pointer<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut pointer = String::new();
    for name in names {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

/// A string field; an empty string is none, as the Go programs that write these files mean it.
pub fn text<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The members of an object field; nothing where it is missing or `null`.
pub fn members<'a>(object: &'a Json, name: &str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    object.get(name).and_then(Json::as_object).into_iter().flatten()
}

/// The items of an array field with their indexes; nothing where it is missing or `null`.
pub fn items<'a>(object: &'a Json, name: &str) -> impl Iterator<Item = (usize, &'a Json)> {
    object.get(name).and_then(Json::as_array).into_iter().flatten().enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_slash_and_tilde() {
        let pool = pointer(["IPAM", "Pools", "10.240.0.0/16", "a~b"]);
        assert_eq!(pool, "/IPAM/Pools/10.240.0.0~116/a~0b");
        let json = serde_json::json!({"IPAM": {"Pools": {"10.240.0.0/16": {"a~b": 7}}}});
        assert_eq!(json.pointer(&pool), Some(&Json::from(7)));
    }
}
