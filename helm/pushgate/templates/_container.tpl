{{/*
The gateway's container, and what a Deployment of somebody else's includes to have it:

  pushgate.sidecar        for initContainers: the native sidecar; nothing where there are none
  pushgate.container      for containers: the plain container; nothing where there are native sidecars
  pushgate.volumes        for volumes
  pushgate.annotations    for the annotations of the pod template
  pushgate.terminationGracePeriodSeconds

Each takes the context of this chart: `.Subcharts.pushgate` in a chart that has it as a dependency.
*/}}

{{- define "pushgate.isNative" -}}
{{- $native := .Values.sidecar.native -}}
{{- $known := semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- if or (eq $native "always") (and (eq $native "auto") $known) -}}yes{{- end -}}
{{- end -}}

{{- define "pushgate.sidecar" -}}
{{- if include "pushgate.isNative" . -}}
{{- include "pushgate.gateway" . }}
  restartPolicy: Always
{{- end -}}
{{- end -}}

{{- define "pushgate.container" -}}
{{- if not (include "pushgate.isNative" .) -}}
{{- include "pushgate.gateway" . -}}
{{- end -}}
{{- end -}}

{{- define "pushgate.gateway" -}}
- name: pushgate
  image: {{ include "pushgate.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run, -c, {{ include "pushgate.file" . }}]
  {{- with .Values.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: pushgate, containerPort: {{ include "pushgate.port" . }}, protocol: TCP}
    - {name: pushgate-admin, containerPort: {{ include "pushgate.adminPort" . }}, protocol: TCP}
  startupProbe:
    {{- include "pushgate.probe" (list "/startupz" .Values.probes.startup) | nindent 4 }}
  livenessProbe:
    {{- include "pushgate.probe" (list "/livez" .Values.probes.liveness) | nindent 4 }}
  readinessProbe:
    {{- include "pushgate.probe" (list "/readyz" .Values.probes.readiness) | nindent 4 }}
  {{- with include "pushgate.preStop" . }}
  lifecycle:
    preStop:
      {{- . | nindent 6 }}
  {{- end }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    {{- /* Whole folders: with subPath nothing that changes would ever arrive. */}}
    - {name: pushgate-config, mountPath: /etc/pushgate, readOnly: true}
    {{- if .Values.adminToken.secretName }}
    - {name: pushgate-admin, mountPath: /run/secrets/pushgate-admin, readOnly: true}
    {{- end }}
    {{- range $i, $secret := .Values.secretFiles }}
    - name: pushgate-secret-{{ $i }}
      mountPath: {{ default (printf "/run/secrets/%s" .secretName) .mountPath | quote }}
      readOnly: true
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Asks the admin listener, which has no backend behind it. */}}
{{- define "pushgate.probe" -}}
httpGet: {path: {{ index . 0 }}, port: pushgate-admin}
{{ toYaml (index . 1) }}
{{- end -}}

{{/*
Beside a neighbour: clients begin to leave when the pod begins to end, which is when this runs; the process stays until
the neighbour is gone. Alone: it goes on for a moment, until no load balancer sends anybody any more, and SIGTERM drains.
*/}}
{{- define "pushgate.preStop" -}}
{{- if eq .Values.mode "sidecar" -}}
exec:
  command: [pushgate, drain, --admin, {{ printf "127.0.0.1:%s" (include "pushgate.adminPort" .) | quote }}]
{{- else if not .Values.preStopSeconds -}}
{{- else if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
sleep: {seconds: {{ .Values.preStopSeconds }}}
{{- else -}}
{{- /* The image need not have a shell, nor a sleep. */ -}}
exec:
  command: [python, -c, {{ printf "import time; time.sleep(%d)" (int .Values.preStopSeconds) | quote }}]
{{- end -}}
{{- end -}}

{{- define "pushgate.volumes" -}}
- name: pushgate-config
  {{- if .Values.existingConfig.secret }}
  secret: {secretName: {{ .Values.existingConfig.secret | quote }}}
  {{- else }}
  configMap: {name: {{ default (include "pushgate.fullname" .) .Values.existingConfig.configMap | quote }}}
  {{- end }}
{{- with .Values.adminToken.secretName }}
- name: pushgate-admin
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- range $i, $secret := .Values.secretFiles }}
- name: pushgate-secret-{{ $i }}
  secret:
    secretName: {{ .secretName | quote }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
