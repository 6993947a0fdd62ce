//! What there is to choose from: places, sizes and images, as many as the tests ask for.

use serde_json::{Value, json};

use crate::error::{ApiError, Outcome};

const LOCATIONS: [(u64, &str, &str, &str, &str); 3] = [
    (1, "fsn1", "Falkenstein DC Park 1", "DE", "Falkenstein"),
    (2, "nbg1", "Nuremberg DC Park 1", "DE", "Nuremberg"),
    (3, "hel1", "Helsinki DC Park 1", "FI", "Helsinki"),
];
const SERVER_TYPES: [(u64, &str, &str, u64, u64, u64); 3] =
    [(45, "cax11", "arm", 2, 4, 40), (93, "cax21", "arm", 4, 8, 80), (114, "cx23", "x86", 2, 4, 40)];
const IMAGES: [(u64, &str, &str, &str, &str); 4] = [
    (114_690_389, "debian-12", "debian", "12", "x86"),
    (114_690_387, "debian-12", "debian", "12", "arm"),
    (310_557_660, "debian-13", "debian", "13", "x86"),
    (310_557_662, "debian-13", "debian", "13", "arm"),
];

pub(crate) fn locations() -> Vec<Value> {
    LOCATIONS
        .map(|(id, name, description, country, city)| {
            json!({
                "id": id, "name": name, "description": description, "country": country, "city": city,
                "latitude": 50.0, "longitude": 12.0, "network_zone": "eu-central",
            })
        })
        .into()
}

pub(crate) fn server_types() -> Vec<Value> {
    let price = |location: &str| {
        json!({
            "location": location, "included_traffic": 21_990_232_555_520_u64,
            "price_hourly": { "net": "0.0060000000", "gross": "0.0071400000" },
            "price_monthly": { "net": "3.7900000000", "gross": "4.5101000000" },
            "price_per_tb_traffic": { "net": "1.0000000000", "gross": "1.1900000000" },
        })
    };
    let places = || {
        LOCATIONS.map(|(id, name, ..)| json!({ "id": id, "name": name, "available": true, "recommended": true, "deprecation": null }))
    };
    SERVER_TYPES
        .map(|(id, name, architecture, cores, memory, disk)| {
            json!({
                "id": id, "name": name, "description": name.to_uppercase(), "category": "Shared vCPU",
                "architecture": architecture, "cores": cores, "cpu_type": "shared", "memory": memory, "disk": disk,
                "storage_type": "local", "deprecated": false, "deprecation": null, "locations": places(),
                "prices": LOCATIONS.map(|(_, name, ..)| price(name)),
            })
        })
        .into()
}

pub(crate) fn images() -> Vec<Value> {
    IMAGES
        .map(|(id, name, flavor, version, architecture)| {
            json!({
                "id": id, "name": name, "description": format!("Debian {version}"), "type": "system",
                "status": "available", "os_flavor": flavor, "os_version": version, "architecture": architecture,
                "created": "2025-08-12T06:00:00Z", "created_from": null, "bound_to": null, "deleted": null,
                "deprecated": null, "disk_size": 5, "image_size": null, "rapid_deploy": true, "labels": {},
                "protection": { "delete": false },
            })
        })
        .into()
}

/// One of a list by its name or its id.
pub(crate) fn find(list: Vec<Value>, field: &str, wanted: &str) -> Outcome<Value> {
    let is_it = |entry: &Value| entry["name"] == *wanted || wanted.parse().is_ok_and(|id: u64| entry["id"] == id);
    list.into_iter().find(is_it).ok_or_else(|| ApiError::invalid(field, &format!("{wanted} does not exist")))
}

/// The image for a size: names are the same for both architectures.
pub(crate) fn image_for(wanted: &str, server_type: &Value) -> Outcome<Value> {
    let fits = |image: &Value| image["architecture"] == server_type["architecture"];
    find(images().into_iter().filter(fits).collect(), "image", wanted)
}
