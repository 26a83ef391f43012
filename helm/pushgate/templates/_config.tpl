{{/* gateway.yaml: what the values say, with what a pod needs filled in; and what the rest of the chart wants to know of it. */}}

{{- define "pushgate.config" -}}
{{- $admin := dict "listen" "0.0.0.0:8081" -}}
{{- if .Values.adminToken.secretName -}}
{{- $_ := set $admin "token" (printf "${file:/run/secrets/pushgate-admin/%s}" .Values.adminToken.key) -}}
{{- end -}}
{{- $filled := dict "version" 1 "server" (dict "listen" "0.0.0.0:8080" "admin" $admin) -}}
{{- mergeOverwrite $filled (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- define "pushgate.isExisting" -}}
{{- if or .Values.existingConfig.configMap .Values.existingConfig.secret -}}yes{{- end -}}
{{- end -}}

{{- define "pushgate.file" -}}
/etc/pushgate/{{ if include "pushgate.isExisting" . }}{{ .Values.existingConfig.key }}{{ else }}gateway.yaml{{ end }}
{{- end -}}

{{/* "0.0.0.0:8080" and "0.0.0.0:${PORT:-8080}" are 8080. */}}
{{- define "pushgate.portOf" -}}
{{- regexFind "[0-9]+}?$" . | trimSuffix "}" -}}
{{- end -}}

{{- define "pushgate.port" -}}
{{- include "pushgate.portOf" (include "pushgate.config" . | fromYaml).server.listen -}}
{{- end -}}

{{- define "pushgate.adminPort" -}}
{{- include "pushgate.portOf" (include "pushgate.config" . | fromYaml).server.admin.listen -}}
{{- end -}}

{{/* "yes" if nobody can reach an address from outside of the pod. */}}
{{- define "pushgate.isLocal" -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" . -}}yes{{- end -}}
{{- end -}}

{{- define "pushgate.scheme" -}}
{{- if (include "pushgate.config" . | fromYaml).server.tls -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* Before every path of the public listener; like the gateway, without the slash that somebody may have put at its end. */}}
{{- define "pushgate.basePath" -}}
{{- (default dict .Values.config.server).base_path | default "" | trimSuffix "/" -}}
{{- end -}}

{{/* What the public listener calls its own endpoints: /live/-/ with base_path and prefix. */}}
{{- define "pushgate.ownPath" -}}
{{- include "pushgate.basePath" . }}{{ default "/-/" (default dict .Values.config.server).prefix -}}
{{- end -}}

{{- define "pushgate.store" -}}
{{- if include "pushgate.isExisting" . -}}
{{- .Values.existingConfig.store -}}
{{- else -}}
{{- default "memory" (default dict .Values.config.store).kind -}}
{{- end -}}
{{- end -}}

{{/* Whole seconds of a duration, rounded up: "1m30s" is 90. "${WINDOW:-20s}" is what it is if nothing else is said. */}}
{{- define "pushgate.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|[smhd])" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $seconds = addf $seconds (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- ceil $seconds | int -}}
{{- end -}}

{{/* How long clients may take to leave. */}}
{{- define "pushgate.drainSeconds" -}}
{{- $drain := default dict (default dict .Values.config.server).drain -}}
{{- add (include "pushgate.seconds" (default "20s" $drain.window)) (include "pushgate.seconds" (default "5s" $drain.grace)) -}}
{{- end -}}

{{/* What a pod with the gateway needs to end in peace; the value, if there is one. */}}
{{- define "pushgate.neededGrace" -}}
{{- $before := ternary .Values.sidecar.neighbourStopSeconds .Values.preStopSeconds (eq .Values.mode "sidecar") -}}
{{- add $before (include "pushgate.drainSeconds" .) 5 -}}
{{- end -}}

{{- define "pushgate.terminationGracePeriodSeconds" -}}
{{- default (include "pushgate.neededGrace" . | int) .Values.terminationGracePeriodSeconds -}}
{{- end -}}

{{/* What is different when a running gateway cannot take the configuration over, or at every change. */}}
{{- define "pushgate.annotations" -}}
{{- $config := include "pushgate.config" . | fromYaml -}}
{{- $server := $config.server -}}
{{- if eq .Values.restartOn "change" -}}
checksum/config: {{ toYaml $config | sha256sum }}
{{- else if eq .Values.restartOn "listeners" -}}
checksum/listeners: {{ list $server.listen $server.admin.listen (hasKey $server "tls") $config.store | toJson | sha256sum }}
{{- end -}}
{{- end -}}
