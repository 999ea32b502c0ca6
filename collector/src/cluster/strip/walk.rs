//! One walk over an object's bytes: what stays is copied in long runs, what goes is cut out or replaced on the way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::json::cursor::{Cursor, Malformed, Member};
use super::{Profile, STRIPPED, annotations, arguments};
use crate::certificate;
use crate::node::secrets;

/// How deep the walk goes; as [`Cursor::skip`], it protects the stack.
const DEPTH: usize = 128;

/// What applies besides the rules for all objects.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub profile: Profile,
    pub drops_template: bool,
}

/// Writes what may stay of `object` to `out`.
pub fn strip(object: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut walk = Walk { text: object, cursor: Cursor::new(object), copied: 0, out, rules };
    walk.value(Place { depth: 0, object: None, in_exec: false, in_spec: false })?;
    walk.cursor.end()?;
    walk.copy_to(object.len());
    Ok(())
}

struct Walk<'a, 'o> {
    text: &'a [u8],
    cursor: Cursor<'a>,
    /// What of the text has been copied or cut out.
    copied: usize,
    out: &'o mut Vec<u8>,
    rules: Rules,
}

/// Where a value lies, as far as the rules ask.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Containers of values around it.
    depth: usize,
    /// Offset of the object that it is a member of.
    object: Option<usize>,
    /// Whether that object is the `exec` of a probe or hook.
    in_exec: bool,
    /// Whether that object is the outermost one's `spec`.
    in_spec: bool,
}

/// What becomes of a member or element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes, name and all.
    Drop,
    /// It stays as it is.
    Keep,
    /// It stays, and the rules apply within.
    Walk,
    /// Its shape stays, all values within become [`STRIPPED`].
    Blank,
    ManagedFields,
    Annotations,
    Env,
    NamedValues,
    Arguments,
    CaBundle,
    Exec,
    Spec,
    /// A text of lines, in which what looks like a secret is masked.
    Text,
    /// An object of such texts.
    Texts,
}

/// Names whose text is a secret wherever it stands. Custom resources are not ours to know, so this second line holds
/// where no allow-list can be drawn up.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "token",
    "bearertoken",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "apikey",
    "secretkey",
    "accesskey",
    "clientsecret",
    "privatekey",
    "sharedkey",
    "accountkey",
    "sastoken",
    "connectionstring",
    "kubeconfig",
    "psk",
    "presharedkey",
    "clientkeydata",
    "tlskey",
];

impl Walk<'_, '_> {
    fn fate(&mut self, member: &Member<'_>, place: Place) -> Result<Fate, Malformed> {
        let value = self.cursor.peek()?;
        Ok(match member.key {
            b"managedFields" => Fate::ManagedFields,
            b"annotations" => Fate::Annotations,
            b"env" if value != b'"' => Fate::Env,
            b"command" | b"args" if place.in_exec => Fate::Blank,
            b"command" | b"args" => Fate::Arguments,
            b"exec" => Fate::Exec,
            b"httpHeaders" | b"headers" | b"queryParams" | b"set" | b"add" => Fate::NamedValues,
            b"caBundle" => Fate::CaBundle,
            b"volumeAttributes" => Fate::Blank,
            b"options" if value == b'{' => Fate::Blank,
            b"data" if place.depth == 1 && self.rules.profile == Profile::ConfigMapNames => Fate::Blank,
            b"data" if place.depth == 1 && self.rules.profile == Profile::ConfigMapText => Fate::Texts,
            // The CNI configuration of a NetworkAttachmentDefinition.
            b"config" if value == b'"' => Fate::Text,
            b"binaryData" if place.depth == 1 => Fate::Blank,
            b"schema" if self.rules.profile == Profile::CustomResourceDefinition => Fate::Drop,
            b"template" if place.in_spec && self.rules.drops_template => Fate::Drop,
            b"spec" if place.depth == 1 => Fate::Spec,
            key if value == b'"' && is_secret_name(key) => Fate::Blank,
            key if key.contains(&b'\\') => Fate::Blank,
            _ => Fate::Walk,
        })
    }

    /// Walks one value that has begun at the cursor.
    fn value(&mut self, place: Place) -> Result<(), Malformed> {
        if place.depth > DEPTH {
            return Err(self.cursor.malformed("values lie too deep in one another"));
        }
        match self.cursor.peek()? {
            b'{' => self.members(place, Self::fate),
            b'[' => self.elements(place, |walk, place| walk.value(place)),
            b'"' => self.cursor.string().map(|_| ()),
            _ => self.cursor.scalar(),
        }
    }

    /// Walks an object whose members' fates are decided one by one.
    fn members(
        &mut self,
        place: Place,
        decide: impl Fn(&mut Self, &Member<'_>, Place) -> Result<Fate, Malformed>,
    ) -> Result<(), Malformed> {
        let start = self.cursor.at();
        let inside = Place { depth: place.depth + 1, object: Some(start), ..place };
        self.cursor.open(b'{')?;
        let (mut first, mut kept) = (true, false);
        // Where members at the front went, the hole reaches to the next one that stays, its comma included.
        let mut hole = None;
        let mut hole_end = start;
        while let Some(member) = self.cursor.member(first)? {
            first = false;
            let fate = decide(self, &member, inside)?;
            if fate == Fate::Drop {
                self.cursor.skip()?;
                hole_end = self.cursor.at();
                if kept {
                    self.cut(member.comma, hole_end);
                } else {
                    hole.get_or_insert(member.start);
                }
                continue;
            }
            if let Some(from) = hole.take() {
                self.cut(from, member.start);
            }
            kept = true;
            self.meet(fate, inside)?;
        }
        if let Some(from) = hole {
            self.cut(from, hole_end);
        }
        Ok(())
    }

    fn elements(
        &mut self,
        place: Place,
        mut each: impl FnMut(&mut Self, Place) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let inside = Place { depth: place.depth + 1, ..place };
        self.cursor.open(b'[')?;
        let mut first = true;
        while self.cursor.element(first)? {
            first = false;
            each(self, inside)?;
        }
        Ok(())
    }

    /// Does to the value at the cursor what was decided.
    fn meet(&mut self, fate: Fate, place: Place) -> Result<(), Malformed> {
        let next = self.cursor.peek()?;
        let within = Place { in_exec: false, in_spec: false, ..place };
        match (fate, next) {
            (Fate::Keep, _) => self.cursor.skip(),
            (Fate::Spec, b'{') => self.value(Place { in_spec: true, ..within }),
            (Fate::Exec, b'{') => self.value(Place { in_exec: true, ..within }),
            (Fate::ManagedFields, b'[') => self.elements(within, |walk, place| {
                walk.members_or_blank(place, |key| if key == b"fieldsV1" { Fate::Drop } else { Fate::Keep })
            }),
            (Fate::Annotations, b'{') => {
                let decide = |key: &[u8]| if annotations::may_stay(key) { Fate::Keep } else { Fate::Drop };
                self.members_or_blank(within, decide)
            }
            (Fate::Env, b'[') => self.elements(within, |walk, place| {
                if walk.cursor.peek()? != b'{' {
                    return walk.members_or_blank(place, |_| Fate::Blank);
                }
                // Whatever else stands there fares as it does anywhere.
                walk.members(place, |walk, member, place| match member.key {
                    b"value" => Ok(Fate::Drop),
                    _ => walk.fate(member, place),
                })
            }),
            (Fate::NamedValues, b'[') => self.elements(within, |walk, place| {
                if walk.cursor.peek()? == b'{' {
                    walk.members(place, |walk, member, place| match member.key {
                        b"value" => Ok(Fate::Blank),
                        _ => walk.fate(member, place),
                    })
                } else {
                    walk.value(place)
                }
            }),
            (Fate::Texts, b'{') => self.members_or_blank(within, |key| {
                let name = String::from_utf8_lossy(key);
                if secrets::sounds_secret(&name) { Fate::Blank } else { Fate::Text }
            }),
            (Fate::Text, b'"') => self.text(),
            (Fate::Arguments, b'[') => self.arguments(within),
            (Fate::CaBundle, b'"') => self.ca_bundle(),
            (Fate::Spec | Fate::Exec | Fate::NamedValues | Fate::CaBundle | Fate::Walk, _) => self.value(within),
            // The shape was not foreseen: the stricter reading counts.
            _ => self.blank(within),
        }
    }

    /// Walks an object by the names of its members; anything but an object is blanked.
    fn members_or_blank(&mut self, place: Place, decide: impl Fn(&[u8]) -> Fate) -> Result<(), Malformed> {
        match self.cursor.peek()? {
            b'{' => self.members(place, |_, member, _| Ok(decide(member.key))),
            _ => self.blank(place),
        }
    }

    /// Replaces every value but null, leaving arrays as long and objects as they are named.
    fn blank(&mut self, place: Place) -> Result<(), Malformed> {
        if place.depth > DEPTH {
            return Err(self.cursor.malformed("values lie too deep in one another"));
        }
        match self.cursor.peek()? {
            b'{' => self.members(place, |_, _, _| Ok(Fate::Blank)),
            b'[' => self.elements(place, |walk, place| walk.blank(place)),
            b'n' => self.cursor.scalar(),
            _ => {
                let start = self.cursor.at();
                self.cursor.skip()?;
                self.replace(start, format!("\"{STRIPPED}\"").as_bytes());
                Ok(())
            }
        }
    }

    fn arguments(&mut self, place: Place) -> Result<(), Malformed> {
        let known = place.object.is_some_and(|container| arguments::is_of_a_known_component(self.text, container));
        if !known {
            return self.blank(place);
        }
        let mut allowed = arguments::Arguments::default();
        self.elements(place, |walk, place| {
            if walk.cursor.peek()? != b'"' {
                return walk.blank(place);
            }
            let start = walk.cursor.at();
            let argument = walk.cursor.string()?;
            if let Some(instead) = allowed.instead_of(argument) {
                walk.replace(start, &instead);
            }
            Ok(())
        })
    }

    /// Masks what looks like a secret in a text. What need not be masked keeps its bytes.
    fn text(&mut self) -> Result<(), Malformed> {
        let start = self.cursor.at();
        self.cursor.string()?;
        let quoted = self.text.get(start..self.cursor.at()).unwrap_or_default();
        let instead = match serde_json::from_slice::<String>(quoted) {
            Ok(text) => {
                let masked = secrets::mask_text(&text);
                (masked != text).then_some(masked)
            }
            // A lone surrogate cannot be decoded, so nothing can be said of the text.
            Err(_) => Some(STRIPPED.to_owned()),
        };
        if let Some(instead) = instead {
            self.replace(start, json!(instead).to_string().as_bytes());
        }
        Ok(())
    }

    fn ca_bundle(&mut self) -> Result<(), Malformed> {
        let start = self.cursor.at();
        let bundle = self.cursor.string()?;
        // Go writes base64 without escapes but for `\u002b`-like ones of custom encoders, which decode as damage.
        let described = STANDARD
            .decode(bundle)
            .map_err(|error| format!("it is not base64: {error}"))
            .and_then(|pem| certificate::describe_pem(&pem).map_err(|error| error.to_string()));
        let instead = match described {
            Ok(certificates) => json!({ "certificates": certificates }),
            Err(error) => json!({ "error": error }),
        };
        self.replace(start, instead.to_string().as_bytes());
        Ok(())
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.copy_to(from);
        self.copied = to;
    }

    /// Puts something in place of what lies between `start` and the cursor.
    fn replace(&mut self, start: usize, instead: &[u8]) {
        self.copy_to(start);
        self.out.extend_from_slice(instead);
        self.copied = self.cursor.at();
    }
}

fn is_secret_name(key: &[u8]) -> bool {
    let plain = |byte: &&u8| !matches!(byte, b'-' | b'_');
    SECRET_NAMES
        .iter()
        .any(|name| key.len() >= name.len() && key.iter().filter(plain).map(u8::to_ascii_lowercase).eq(name.bytes()))
}
