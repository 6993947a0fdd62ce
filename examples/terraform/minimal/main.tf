# One gateway at home and one server that has no IPv4 of its own.
#
# After `terraform apply` the server's user data holds all it needs; on the Raspberry Pi the translator reads the state file
# and dials the server. The state file must reach the Pi: run Terraform there, or share the directory.

terraform {
  required_version = ">= 1.5"

  required_providers {
    hetznat = {
      source  = "hetznat/hetznat"
      version = "~> 0.1"
    }
  }
}

variable "state" {
  description = "The state document that the translator on the Raspberry Pi reads."
  type        = string
  default     = "/var/lib/hetznat/state.json"
}

provider "hetznat" {
  state = var.state
}

# The Raspberry Pi. With `public_key = "…"` from `hetznat-translator keygen`, its private key never leaves it.
resource "hetznat_gateway" "home" {
  name = "home"
}

resource "hetznat_peer" "web" {
  gateway  = hetznat_gateway.home.link
  name     = "web"
  endpoint = hcloud_primary_ip.web.ip_network
}

output "web_ipv4" {
  description = "The server's IPv4 address inside the tunnel."
  value       = hetznat_peer.web.ipv4
}
