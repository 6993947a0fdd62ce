# Servers that the gateway finds by their labels: no primary IP, and no address in this configuration. The translator on the
# Raspberry Pi needs a read-only Hetzner token of its own (--hetzner-token).

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

variable "servers" {
  description = "The servers by name. A replaced one gets another address, and its tunnel follows within half a minute."
  type        = set(string)
  default     = ["web", "db"]
}

provider "hetznat" {
  state = var.state
}

resource "hetznat_gateway" "home" {
  name = "home"

  # Looks at the servers with the label hetznat-gateway=home, which a peer's labels hold.
  discovery {}
}

# Without an endpoint: the gateway dials the server that has the peer's labels. They say where it is, never who it is.
resource "hetznat_peer" "server" {
  for_each = var.servers
  gateway  = hetznat_gateway.home.link
  name     = each.key
}
