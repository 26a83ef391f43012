{{/* What objects are called, and the labels by which they find each other. */}}

{{- define "pushgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that "-dashboard" fits behind it. */}}
{{- define "pushgate.fullname" -}}
{{- $name := include "pushgate.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "pushgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "pushgate.ownLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pushgate.ownLabels" -}}
app.kubernetes.io/name: {{ include "pushgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Those of the pods with the gateway: ours, or the neighbour's. */}}
{{- define "pushgate.selectorLabels" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- toYaml .Values.sidecar.selectorLabels -}}
{{- else -}}
{{- include "pushgate.ownLabels" . }}
app.kubernetes.io/component: gateway
{{- end -}}
{{- end -}}

{{/* "yes" if it is known which pods have the gateway, so that Services and what stands before them can be had. */}}
{{- define "pushgate.hasPods" -}}
{{- if or (eq .Values.mode "standalone") .Values.sidecar.selectorLabels -}}yes{{- end -}}
{{- end -}}

{{- define "pushgate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ $tag }}{{- end -}}
{{- end -}}
{{- end -}}
