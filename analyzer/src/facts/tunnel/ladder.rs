//! The arithmetic of cluster-proportional-autoscaler, which scales konnectivity-agent with the cluster: what its
//! ConfigMap says, whether it can be used, and how many replicas it wants.
//!
//! Semantics: kubernetes-sigs/cluster-proportional-autoscaler, pkg/autoscaler/controller/{laddercontroller,
//! linearcontroller} and pkg/autoscaler/k8sclient. JSON as Go's encoding/json reads it: unknown keys are skipped, keys
//! match whatever their case.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// What a ConfigMap of the autoscaler says.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameters {
    /// Steps.
    Ladder {
        /// Replicas from so many nodes on, sorted.
        nodes: Vec<(i64, i64)>,
        /// Replicas from so many cores on, sorted.
        cores: Vec<(i64, i64)>,
        /// Whether cordoned nodes count.
        unschedulable: bool,
        /// What is odd about it, though it can be used.
        doubts: Vec<String>,
    },
    /// A proportion.
    Linear {
        /// Nodes and cores for each replica; 0 where they do not count.
        per_replica: (f64, f64),
        /// The least and the most replicas; 0 where there is no most.
        bounds: (i64, i64),
        /// At least two where there is more than one node.
        no_single_point: bool,
        /// Whether cordoned nodes count.
        unschedulable: bool,
    },
}

/// What the autoscaler counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Nodes.
    pub nodes: i64,
    /// Cores that pods may use.
    pub cores: f64,
}

impl Parameters {
    /// Reads the data of the ConfigMap; the autoscaler's own complaint where it cannot use it.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Parameters, String> {
        let mut entries = data.iter();
        let (Some((mode, text)), None) = (entries.next(), entries.next()) else {
            let keys: Vec<&str> = data.keys().map(String::as_str).collect();
            return Err(format!(
                "it must have exactly one key, `ladder` or `linear`, and has {} ({})",
                keys.len(),
                keys.join(", ")
            ));
        };
        let json: Json = serde_json::from_str(text).map_err(|error| format!("`{mode}` is not JSON: {error}"))?;
        match (mode.as_str(), &json) {
            ("ladder", Json::Object(_)) => ladder(&json),
            ("linear", Json::Object(_)) => linear(&json),
            ("ladder" | "linear", _) => Err(format!("`{mode}` is no JSON object")),
            _ => Err(format!("`{mode}` is neither `ladder` nor `linear`")),
        }
    }

    /// `ladder` or `linear`.
    pub fn mode(&self) -> &'static str {
        match self {
            Parameters::Ladder { .. } => "ladder",
            Parameters::Linear { .. } => "linear",
        }
    }

    /// Whether cordoned nodes count.
    pub fn counts_unschedulable(&self) -> bool {
        match self {
            Parameters::Ladder { unschedulable, .. } | Parameters::Linear { unschedulable, .. } => *unschedulable,
        }
    }

    /// How many replicas it wants for a cluster of this size.
    pub fn replicas(&self, size: Size) -> i64 {
        match self {
            Parameters::Ladder { nodes, cores, .. } => step(nodes, size.nodes).max(step(cores, size.cores as i64)),
            Parameters::Linear { per_replica: (nodes, cores), bounds: (least, most), no_single_point, .. } => {
                let share = |count: f64, per: f64| if per > 0.0 { (count / per).ceil() as i64 } else { 0 };
                let wanted = share(size.nodes as f64, *nodes).max(share(size.cores, *cores));
                let floor = if *no_single_point && size.nodes > 1 { 2 } else { 1 };
                let wanted = if *most > 0 { wanted.min(*most) } else { wanted };
                wanted.max(*least).max(floor)
            }
        }
    }
}

/// The entry with the greatest key that is not above the count; the first one below all; 0 of an empty list.
fn step(entries: &[(i64, i64)], count: i64) -> i64 {
    let below = entries.iter().take_while(|(from, _)| *from <= count).last();
    below.or(entries.first()).map_or(0, |(_, replicas)| *replicas)
}

fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let members = object.as_object()?;
    members.get(name).or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn flag(object: &Json, name: &str) -> Result<bool, String> {
    match member(object, name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(other) => Err(format!("`{name}` is no boolean: {other}")),
    }
}

fn ladder(json: &Json) -> Result<Parameters, String> {
    let mut doubts = Vec::new();
    let nodes = entries(json, "nodesToReplicas", &mut doubts)?;
    let cores = entries(json, "coresToReplicas", &mut doubts)?;
    if nodes.is_empty() && cores.is_empty() {
        doubts.push("it has no steps, so it asks for no replicas".to_owned());
    }
    Ok(Parameters::Ladder { nodes, cores, unschedulable: flag(json, "includeUnschedulableNodes")?, doubts })
}

/// The steps of one list, sorted, with what is odd about them.
fn entries(json: &Json, name: &str, doubts: &mut Vec<String>) -> Result<Vec<(i64, i64)>, String> {
    let list = match member(json, name) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(list)) => list,
        Some(other) => return Err(format!("`{name}` is no list: {other}")),
    };
    let mut entries = list.iter().map(|entry| pair(entry, name)).collect::<Result<Vec<_>, _>>()?;
    if !entries.is_sorted_by_key(|(from, _)| *from) {
        doubts.push(format!("the steps of `{name}` are not in order"));
        entries.sort();
    }
    if !entries.is_sorted_by_key(|(_, replicas)| *replicas) {
        doubts.push(format!("`{name}` gives fewer replicas to a larger cluster"));
    }
    if let Some((from, replicas)) = entries.first().filter(|(from, _)| *from > 1) {
        doubts.push(format!("`{name}` begins at {from}, so that smaller clusters get its {replicas} replicas too"));
    }
    Ok(entries)
}

fn pair(entry: &Json, name: &str) -> Result<(i64, i64), String> {
    let numbers: Option<Vec<i64>> = entry.as_array().and_then(|list| list.iter().map(Json::as_i64).collect());
    match numbers.as_deref() {
        Some([from, replicas]) if *from >= 0 && *replicas >= 0 => Ok((*from, *replicas)),
        Some([_, _]) => Err(format!("negative values in entry {entry} of `{name}`")),
        _ => Err(format!("element {entry} of `{name}` is no pair of whole numbers")),
    }
}

fn linear(json: &Json) -> Result<Parameters, String> {
    let number = |name: &str| match member(json, name) {
        None | Some(Json::Null) => Ok(0.0),
        Some(value) => value.as_f64().ok_or_else(|| format!("`{name}` is no number: {value}")),
    };
    let per_replica = (number("nodesPerReplica")?, number("coresPerReplica")?);
    if per_replica.0 <= 0.0 && per_replica.1 <= 0.0 {
        return Err("neither `nodesPerReplica` nor `coresPerReplica` is above 0".to_owned());
    }
    let bounds = (number("min")? as i64, number("max")? as i64);
    if bounds.1 > 0 && bounds.1 < bounds.0 {
        return Err(format!("`max` {} is below `min` {}", bounds.1, bounds.0));
    }
    Ok(Parameters::Linear {
        per_replica,
        bounds,
        no_single_point: flag(json, "preventSinglePointFailure")?,
        unschedulable: flag(json, "includeUnschedulableNodes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mode: &str, text: &str) -> Result<Parameters, String> {
        Parameters::parse(&BTreeMap::from([(mode.to_owned(), text.to_owned())]))
    }

    fn replicas(text: &str, nodes: i64) -> i64 {
        parse("ladder", text).unwrap().replicas(Size { nodes, cores: 0.0 })
    }

    const AKS: &str = r#"{"nodesToReplicas":[[1,2],[100,3],[250,4],[500,5],[1000,6],[5000,10]]}"#;

    #[test]
    fn steps_hold_from_their_key_on() {
        let wanted: Vec<i64> = [1, 99, 100, 249, 5000, 9999].map(|nodes| replicas(AKS, nodes)).to_vec();
        assert_eq!(wanted, [2, 2, 3, 3, 10, 10]);
        assert_eq!(replicas(r#"{"NodesToReplicas":[[100,3],[10,2]]}"#, 1), 2);
        assert_eq!(replicas("{}", 7), 0);
    }

    #[test]
    fn the_larger_of_nodes_and_cores() {
        let both = parse("ladder", r#"{"nodesToReplicas":[[1,2]],"coresToReplicas":[[1,1],[64,5]]}"#).unwrap();
        assert_eq!(both.replicas(Size { nodes: 3, cores: 64.9 }), 5);
    }

    #[test]
    fn what_the_autoscaler_refuses() {
        let refused = |mode: &str, text: &str| parse(mode, text).unwrap_err();
        assert!(refused("ladder", r#"nodesToReplicas": [[1,2],[100,3]]"#).contains("is not JSON"));
        assert!(refused("ladder", r#"{"nodesToReplicas":[[1,-2]]}"#).contains("negative"));
        assert!(refused("ladder", r#"{"nodesToReplicas":[[1]]}"#).contains("no pair"));
        assert!(refused("steps", "{}").contains("neither"));
        let two = BTreeMap::from([("ladder".to_owned(), "{}".to_owned()), ("linear".to_owned(), "{}".to_owned())]);
        assert!(Parameters::parse(&two).unwrap_err().contains("exactly one"));
    }

    #[test]
    fn what_is_odd_though_it_works() {
        let doubts = |text: &str| match parse("ladder", text).unwrap() {
            Parameters::Ladder { doubts, .. } => doubts.len(),
            Parameters::Linear { .. } => usize::MAX,
        };
        assert_eq!(doubts(AKS), 0);
        assert_eq!(doubts(r#"{"nodesToReplicas":[[100,3],[1,2]]}"#), 1);
        assert_eq!(doubts(r#"{"nodesToReplicas":[[1,3],[100,2]]}"#), 1);
        assert_eq!(doubts(r#"{"nodesToReplicas":[[10,2]]}"#), 1);
    }

    #[test]
    fn proportions() {
        let linear = parse(
            "linear",
            r#"{"nodesPerReplica":16,"coresPerReplica":256,"min":1,"max":4,"preventSinglePointFailure":true}"#,
        );
        let linear = linear.unwrap();
        let wanted: Vec<i64> = [1, 2, 33, 900].map(|nodes| linear.replicas(Size { nodes, cores: 1.0 })).to_vec();
        assert_eq!(wanted, [1, 2, 3, 4]);
    }
}
