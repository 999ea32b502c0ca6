//! Kubernetes quantities (`k8s.io/apimachinery/pkg/api/resource`).

use minijinja::Value;

/// The number that a quantity means: `500m` is 0.5, `1Gi` is 1073741824; nothing where the text is no quantity.
pub fn quantity(value: &Value) -> Value {
    if value.is_number() {
        return value.clone();
    }
    value.as_str().and_then(crate::facts::quantity::parse).map_or(Value::UNDEFINED, Value::from)
}
