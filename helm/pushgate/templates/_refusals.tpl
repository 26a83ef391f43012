{{/* What cannot work or would not be safe, with its remedy. `helm lint` shows these as INFO; template and install stop. */}}

{{- define "pushgate.refuse" -}}
{{- include "pushgate.refuseConfig" . -}}
{{- include "pushgate.refuseReplicas" . -}}
{{- include "pushgate.refuseGrace" . -}}
{{- include "pushgate.refuseBesideNeighbour" . -}}
{{- include "pushgate.refuseUnreachable" . -}}
{{- end -}}

{{- define "pushgate.refuseConfig" -}}
{{- $existing := include "pushgate.isExisting" . -}}
{{- if and $existing .Values.config -}}
{{- fail "config: is not used with existingConfig; keep one of the two" -}}
{{- end -}}
{{- if and .Values.existingConfig.configMap .Values.existingConfig.secret -}}
{{- fail "existingConfig: names a configMap and a secret; keep one of the two" -}}
{{- end -}}
{{- if not (or $existing .Values.config.routes .Values.config.proxy) -}}
{{- fail "config: has no routes, so there is nothing to serve; put your gateway.yaml under `config:`, or name a ConfigMap that has it in existingConfig.configMap" -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.refuseReplicas" -}}
{{- if eq (include "pushgate.store" .) "memory" -}}
{{- $why := "with the memory store: each replica would keep histories of its own, and poll for itself, and a client that comes back to another one would start over" -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) 1) -}}
{{- fail (printf "autoscaling.maxReplicas: %d %s; say autoscaling.enabled: false, until there is store: {kind: redis} to share the histories" (int .Values.autoscaling.maxReplicas) $why) -}}
{{- end -}}
{{- if and (not .Values.autoscaling.enabled) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas: %d %s; say replicas: 1, until there is store: {kind: redis} to share the histories" (int .Values.replicas) $why) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.refuseGrace" -}}
{{- $needed := include "pushgate.neededGrace" . | int -}}
{{- with .Values.terminationGracePeriodSeconds -}}
{{- if lt (int .) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds: %d would kill the gateway before its clients have left; it needs %d, or a shorter server.drain" (int .) $needed) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.refuseBesideNeighbour" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling: the pods are your Deployment's, so scale that; say autoscaling.enabled: false" -}}
{{- end -}}
{{- if .Values.podDisruptionBudget.enabled -}}
{{- fail "podDisruptionBudget: the pods are your Deployment's, so it needs one of its own; say podDisruptionBudget.enabled: false" -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- fail "networkPolicy: would shut the ports of the gateway's neighbour, too; write one for the whole pod, and say networkPolicy.enabled: false" -}}
{{- end -}}
{{- if not .Values.sidecar.selectorLabels -}}
{{- range $name := list "ingress" "httpRoute" "podMonitor" "serviceMonitor" -}}
{{- if (index $.Values $name).enabled -}}
{{- fail (printf "%s: needs to know your pods; put their labels into sidecar.selectorLabels" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.refuseUnreachable" -}}
{{- $server := (include "pushgate.config" . | fromYaml).server -}}
{{- range $name, $listen := dict "server.listen" $server.listen "server.admin.listen" $server.admin.listen -}}
{{- if not (include "pushgate.portOf" $listen) -}}
{{- fail (printf "config.%s: %s does not tell its port, which the pod and its Services have to name; write it, as in 0.0.0.0:8080 or ${LISTEN:-0.0.0.0:8080}" $name $listen) -}}
{{- end -}}
{{- end -}}
{{- if and (include "pushgate.hasPods" .) (include "pushgate.isLocal" $server.listen) -}}
{{- fail "config.server.listen: is a loopback address, which no Service can reach; leave it out" -}}
{{- end -}}
{{- if include "pushgate.isLocal" $server.admin.listen -}}
{{- fail "config.server.admin.listen: is a loopback address, which the kubelet's probes cannot reach; leave it out, as only probes and metrics are open there" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: is empty; say for which host, as in [{host: push.example}]" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: is empty; name the Gateway, as in [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- end -}}
